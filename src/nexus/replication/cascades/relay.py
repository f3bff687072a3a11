"""A replica serves other replicas what it may show: committed entries, and no more.

It passes on the history, the epoch and the commit offset of its own upstream. What its
downstreams acknowledge counts nowhere. It serves only while it follows somebody
itself: whoever looks for an upstream has no downstream, so that a chain that closes is
found by whom it would close on.
"""

from typing import Final

from msgspec.structs import replace
from typing_extensions import override

from nexus.model.cluster import NodeId, ReplicaStatus
from nexus.model.position import NO_OFFSET, Offset
from nexus.protocol.messages import ErrorCode, Hello, Ping, Welcome
from nexus.replication.effects import (
    Close,
    Effects,
    Peer,
    without_orders,
)
from nexus.replication.handshake.admission import claims_to_be_master, fork_between
from nexus.replication.handshake.cascade import (
    CASCADE,
    UP,
    VIA,
    WAITS,
    chain,
    named,
    naming,
)
from nexus.replication.master import Master
from nexus.replication.replica import Replica
from nexus.replication.settings import Identity, LogExtent, MasterSettings

SEEKS_MS: Final = 60_000
"""So long after its last try a node counts as waiting; tries are never rarer."""


class RelayMaster(Master):
    """A master's side of the stream, that decides nothing."""

    def shows(self, replica: Replica, now_ms: int) -> Effects:
        """The replica may show so much of its log by now."""
        ahead_ms = replica.clock_ahead_ms
        shown, held, end = replica.safe, replica.durable, replica.master_end
        return self._streams.relayed(shown, held, end, ahead_ms, now_ms)

    def is_behind(self, hello: Hello) -> bool:
        """Whether the sender has all of this log, and more: it is to come later."""
        held, theirs = self._streams.extent.durable_offset, hello.position.offset
        fork = fork_between(self._history, held, hello.history, theirs)
        return fork == held < theirs

    def follows(self, peer: Peer) -> bool:
        """Whether this is a downstream's connection."""
        return self._fleet.at(peer) is not None

    def dismissed(self, reason: str) -> Effects:
        """Every downstream is to leave."""
        return tuple(
            Close(peer, ErrorCode.BUSY, reason) for peer, _ in self._fleet.connected()
        )

    @override
    def _pinged(self, peer: Peer, ping: Ping, now_ms: int) -> Effects:
        if ping.epoch > self._history.epoch:
            return self._closed(peer, ErrorCode.BUSY, _behind(ping.epoch), now_ms)
        return super()._pinged(peer, ping, now_ms)


class Relay:
    """The downstreams of one replica, for its whole life."""

    def __init__(self, identity: Identity, settings: MasterSettings) -> None:
        self._identity = identity
        # The commit offset is the upstream's to tell.
        self._settings = replace(settings, quorum=settings.max_replicas + 2)
        self._upstream: Welcome | None = None
        """The connection that is followed now."""
        self._machine: RelayMaster | None = None
        self._shown = (NO_OFFSET, NO_OFFSET, NO_OFFSET)
        self._seekers: dict[NodeId, tuple[int, tuple[NodeId, ...]]] = {}

    def wanted(self, hello: Hello) -> bool:
        """Whether a replica will do for the sender."""
        return CASCADE in hello.features and not claims_to_be_master(hello)

    def serves(self, peer: Peer) -> Master | None:
        """What decides about this connection."""
        machine = self._machine
        return machine if machine is not None and machine.follows(peer) else None

    def waiting(self, now_ms: int) -> tuple[str, ...]:
        """The feature that names who waits for this node to follow somebody."""
        self._seekers = {
            node: (until, more)
            for node, (until, more) in self._seekers.items()
            if until > now_ms
        }
        own = (self._identity.node_id,)
        others = [one for _, more in self._seekers.values() for one in more]
        return naming(WAITS, (*own, *self._seekers, *others))

    def hello(
        self, peer: Peer, hello: Hello, replica: Replica, first: Offset, now_ms: int
    ) -> Effects:
        """Somebody wants to follow this replica, whose log begins with `first`."""
        own, other = self._identity.node_id, hello.node_id
        via = (own, *named(replica.upstream_features, VIA))
        waits = named(hello.features, WAITS)
        if other in via or own in waits:
            through = via if other in via else (own,)
            reason = f"{chain((other, *through))}, which would follow {other}: a loop"
            return (Close(peer, ErrorCode.LOOP, reason),)
        effects = self.follow(replica, now_ms)
        if self._upstream is None:
            self._seekers[other] = (now_ms + SEEKS_MS, waits)
            reason = f"{own} has nothing to pass on yet: it looks for its own upstream"
            return (*effects, Close(peer, ErrorCode.BUSY, reason))
        if hello.epoch > replica.epoch:
            return (*effects, Close(peer, ErrorCode.BUSY, _behind(hello.epoch)))
        machine = self._machine or self._made(replica, via, first, now_ms)
        if machine.is_behind(hello):
            reason = f"{own} holds entries up to {replica.durable}, {other} more"
            return (*effects, Close(peer, ErrorCode.BUSY, reason))
        return (*effects, *without_orders(machine.hello(peer, hello, now_ms)))

    def _made(
        self, replica: Replica, via: tuple[NodeId, ...], first: Offset, now_ms: int
    ) -> RelayMaster:
        features = (
            *self._identity.features,
            CASCADE,
            *naming(VIA, (*via, replica.whole_history.reigns[-1].master_id)),
            UP + replica.master_addr,
        )
        machine = RelayMaster(
            replace(
                self._identity,
                cluster_id=replica.cluster_id,
                features=features,
            ),
            self._settings,
            replica.whole_history,
            LogExtent(first, replica.safe),
            now_ms,
        )
        machine.shows(replica, now_ms)
        self._machine = machine
        return machine

    def follow(self, replica: Replica, now_ms: int) -> Effects:
        """Pass on what the replica may show now; end all once it follows nobody."""
        if not replica.passes_on:
            return self.end("its upstream has lost its own")
        if replica.master is not self._upstream:
            ended = self.end("its upstream follows anew")
            self._upstream = replica.master
            return ended
        shown = (replica.safe, replica.durable, replica.master_end)
        if self._machine is None or shown == self._shown:
            return ()
        self._shown = shown
        return self._machine.shows(replica, now_ms)

    def end(self, reason: str) -> Effects:
        """The log is not what it was, or grows no more: every downstream leaves."""
        machine, self._machine = self._machine, None
        self._upstream = None
        return () if machine is None else machine.dismissed(reason)

    def tick(self, now_ms: int) -> Effects:
        """Heartbeats, and peers that are silent."""
        machine = self._machine
        return () if machine is None else without_orders(machine.tick(now_ms))

    def retained(self, first_offset: Offset) -> None:
        """Retention has dropped what is before that."""
        if self._machine is not None:
            self._machine.retained(first_offset)

    def retention_floor(self, floor: Offset) -> Offset:
        """What the log must keep at least, if it need not keep more than `floor`."""
        machine = self._machine
        return floor if machine is None else min(floor, machine.retention_floor())

    def replicas(self, now_ms: int) -> tuple[ReplicaStatus, ...]:
        """The downstreams."""
        return () if self._machine is None else self._machine.replicas(now_ms)


def _behind(epoch: int) -> str:
    return f"its upstream has not heard of epoch {epoch} yet"
