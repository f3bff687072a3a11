"""A replica without voters, as its port sees it: it serves other replicas as it may."""

from collections.abc import Callable

from nexus.model.cluster import ReplicaStatus
from nexus.model.position import EpochHistory, Offset, Position
from nexus.node.clock import now_ms as clock
from nexus.protocol.messages import Hello, Message
from nexus.replication.cascades.relaying_replica import RelayingReplica
from nexus.replication.effects import (
    MASTER,
    Close,
    Effects,
    Peer,
    Report,
    Send,
    SendSnapshot,
    Stream,
)
from nexus.replication.members.effects import MemberEffects
from nexus.storage.wal import WriteAheadLog


class RelayAdapter:
    """What the publisher calls on a `Master`, answered by a replica's relay."""

    def __init__(
        self,
        machine: RelayingReplica,
        wal: WriteAheadLog,
        take: Callable[[MemberEffects], None],
    ) -> None:
        """`take` performs what concerns the replica's own link."""
        self._machine = machine
        self._log = wal
        self._take = take

    @property
    def history(self) -> EpochHistory:
        """Of the log that is sent."""
        return self._machine.history

    def hello(self, peer: Peer, hello: Hello, now_ms: int) -> Effects:
        """A proven Hello on a new connection: a downstream, or who seeks a master."""
        first = self._log.first_offset
        effects = self._machine.visited(peer, hello, first, now_ms)
        own = tuple(effect for effect in effects if not _is_ports(effect))
        self._take(own)
        return tuple(effect for effect in effects if _is_ports(effect))

    def receive(self, peer: Peer, message: Message, now_ms: int) -> Effects:
        """A message of a welcomed peer."""
        return self._machine.served(
            peer, lambda machine: machine.receive(peer, message, now_ms)
        )

    def disconnected(self, peer: Peer, now_ms: int) -> Effects:
        """The connection is gone."""
        return self._machine.served(
            peer, lambda machine: machine.disconnected(peer, now_ms)
        )

    def stored(self, _offset: Offset, _now_ms: int) -> Effects:
        """The replica's own driver tells it."""
        return ()

    def streamed(
        self, peer: Peer, next_offset: Offset, bytes_sent: int, now_ms: int
    ) -> Effects:
        """A Stream is done."""
        return self._machine.served(
            peer,
            lambda machine: machine.streamed(peer, next_offset, bytes_sent, now_ms),
        )

    def log_gap(self, peer: Peer, first_offset: Offset, now_ms: int) -> Effects:
        """A Stream failed."""
        return self._machine.served(
            peer, lambda machine: machine.log_gap(peer, first_offset, now_ms)
        )

    def snapshot_started(self, peer: Peer, position: Position) -> Effects:
        """A snapshot goes to the peer."""
        return self._machine.served(
            peer, lambda machine: machine.snapshot_started(peer, position)
        )

    def snapshot_sent(self, peer: Peer) -> Effects:
        """Its last frame is written."""
        return self._machine.served(peer, lambda machine: machine.snapshot_sent(peer))

    def snapshot_failed(self, peer: Peer, reason: str, now_ms: int) -> Effects:
        """It could not be made or read."""
        return self._machine.served(
            peer, lambda machine: machine.snapshot_failed(peer, reason, now_ms)
        )

    def downstreams(self) -> tuple[ReplicaStatus, ...]:
        """The replicas that follow this one."""
        return self._machine.relay.replicas(clock())

    def retention_floor(self, floor: Offset) -> Offset:
        """What the log must keep for them, if it need not keep more than `floor`."""
        return self._machine.relay.retention_floor(floor)

    def retained(self, first_offset: Offset) -> None:
        """Retention has dropped what is before that."""
        self._machine.relay.retained(first_offset)

    def tick(self, _now_ms: int) -> Effects:
        """The replica's own driver ticks."""
        return ()


def _is_ports(effect: object) -> bool:
    match effect:
        case Send(peer=peer):
            return peer != MASTER
        case Close() | Stream() | SendSnapshot() | Report():
            return True
        case _:
            return False
