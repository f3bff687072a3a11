"""All replicas that a master knows, by node and by connection."""

from collections.abc import Iterator

from nexus.errors import NotFoundError
from nexus.model.cluster import NodeId
from nexus.model.position import NO_OFFSET, Offset
from nexus.protocol.messages import Hello
from nexus.replication.effects import Peer
from nexus.replication.streaming.progress import Progress


class Fleet:
    """Bounded: to make room, the replica that is gone for longest is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_node: dict[NodeId, Progress] = {}
        self._by_peer: dict[Peer, Progress] = {}
        self.all_paused = False

    def __iter__(self) -> Iterator[Progress]:
        # A client's thread may ask who is there while somebody joins on the loop.
        return iter(tuple(self._by_node.values()))

    def connected(self) -> tuple[tuple[Peer, Progress], ...]:
        """Those that have a connection, with it."""
        return tuple(self._by_peer.items())

    def at(self, peer: Peer) -> Progress | None:
        """The replica behind a connection, if that one still counts."""
        return self._by_peer.get(peer)

    def join(self, peer: Peer, hello: Hello, now_ms: int) -> Progress | None:
        """A replica connects, known or not; None if there is no room for it.

        An earlier connection of the same node must have left before.
        """
        progress = self._by_node.get(hello.node_id)
        if progress is None:
            if len(self._by_node) >= self._most and not self._forget_one():
                return None
            progress = self._by_node[hello.node_id] = Progress(hello.node_id)
            progress.paused = self.all_paused
        assert progress.peer is None, f"{hello.node_id} is connected already"
        progress.connected(peer, hello, now_ms)
        self._by_peer[peer] = progress
        return progress

    def peer_of(self, node_id: NodeId) -> Peer | None:
        """The connection of a node, if it has one."""
        progress = self._by_node.get(node_id)
        return None if progress is None else progress.peer

    def why_replaced(self, hello: Hello) -> str:
        """Why a node's connection ends for another one that says this Hello."""
        before = self._by_node[hello.node_id].address
        reason = f"{hello.node_id} has connected anew"
        if before == hello.address:
            return reason
        return (
            f"{reason}, at {hello.address} and not at {before} as before: if both run, "
            "one has a copy of the other's data directory; stop that one and start it "
            "with an empty directory"
        )

    def follows(self, node_id: NodeId, through: Offset = NO_OFFSET) -> bool:
        """Whether the node streams, and holds everything up to `through`."""
        progress = self._by_node.get(node_id)
        return progress is not None and progress.streams and progress.acked >= through

    def is_delayed(self, node_id: NodeId) -> bool:
        """Whether the node applies later than it could, on purpose."""
        progress = self._by_node.get(node_id)
        return progress is not None and progress.delay_ms > 0

    def short_of_space(self) -> frozenset[NodeId]:
        """The nodes that have said that their disks are full."""
        return frozenset(one.node_id for one in self if one.no_space)

    def leave(self, peer: Peer, now_ms: int) -> Progress | None:
        """A connection has ended; None if it did not count any more."""
        progress = self._by_peer.pop(peer, None)
        if progress is not None:
            progress.gone(now_ms)
        return progress

    def set_paused(self, replica: NodeId | None, *, paused: bool) -> None:
        """Pause or resume one, or all, those to come included.

        Raises NotFoundError for a replica that this master does not know.
        """
        if replica is None:
            self.all_paused = paused
            for progress in self:
                progress.paused = paused
            return
        if replica not in self._by_node:
            known = ", ".join(sorted(self._by_node)) or "none"
            raise NotFoundError(f"no replica {replica!r}; this master knows {known}")
        self._by_node[replica].paused = paused

    def _forget_one(self) -> bool:
        gone = [progress for progress in self if progress.peer is None]
        if not gone:
            return False
        del self._by_node[min(gone, key=lambda progress: progress.gone_ms).node_id]
        return True
