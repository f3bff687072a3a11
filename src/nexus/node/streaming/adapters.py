"""One member, as its port sees it (a master) and as its link sees it (a replica).

Both hand every effect to the queue of the node, where all of them keep their order.
"""

from collections.abc import Callable, Sequence

from nexus.model.cluster import LinkState, ReplicaStatus
from nexus.model.position import EpochHistory, Offset, Position
from nexus.node.chronicle import Chronicle
from nexus.node.clock import now_ms
from nexus.protocol.messages import Hello, Message, WalEntry
from nexus.replication.effects import Effects, Peer
from nexus.replication.members.effects import MemberEffects
from nexus.replication.members.member import Member
from nexus.storage.catalog import Base


class MasterAdapter:
    """What the publisher calls on a `Master`; nothing is left for it to perform."""

    def __init__(self, member: Member, take: Callable[[MemberEffects], None]) -> None:
        self._member = member
        self._take = take

    @property
    def history(self) -> EpochHistory:
        """Of the log that is sent."""
        return self._member.history

    def hello(self, peer: Peer, hello: Hello, now_ms: int) -> Effects:
        """A proven Hello on a new connection."""
        return self._all(self._member.hello(peer, hello, now_ms))

    def receive(self, peer: Peer, message: Message, now_ms: int) -> Effects:
        """A message of a welcomed peer."""
        return self._all(self._member.receive(peer, message, now_ms))

    def disconnected(self, peer: Peer, now_ms: int) -> Effects:
        """The connection is gone."""
        return self._all(self._member.disconnected(peer, now_ms))

    def written(self, offset: Offset) -> None:
        """The log holds entries up to `offset`, which are being synced."""
        self._take(self._member.written(offset, now_ms()))

    def stored(self, offset: Offset, now_ms: int) -> Effects:
        """The log is durable up to `offset`; a replica's driver tells it by itself."""
        if self._member.master is None:
            return ()
        return self._all(self._member.stored(offset, now_ms))

    def streamed(
        self, peer: Peer, next_offset: Offset, bytes_sent: int, now_ms: int
    ) -> Effects:
        """A Stream is done."""
        member = self._member
        return self._all(member.streamed(peer, next_offset, bytes_sent, now_ms))

    def log_gap(self, peer: Peer, first_offset: Offset, now_ms: int) -> Effects:
        """A Stream failed."""
        return self._all(self._member.log_gap(peer, first_offset, now_ms))

    def snapshot_started(self, peer: Peer, position: Position) -> Effects:
        """A snapshot goes to the peer."""
        master = self._member.serving(peer)
        return () if master is None else master.snapshot_started(peer, position)

    def snapshot_sent(self, peer: Peer) -> Effects:
        """Its last frame is written."""
        master = self._member.serving(peer)
        return () if master is None else master.snapshot_sent(peer)

    def snapshot_failed(self, peer: Peer, reason: str, now_ms: int) -> Effects:
        """It could not be made or read."""
        master = self._member.serving(peer)
        if master is None:
            return ()
        return master.snapshot_failed(peer, reason, now_ms)

    def downstreams(self) -> tuple[ReplicaStatus, ...]:
        """The replicas that follow this one while it is a replica."""
        return self._member.downstreams(now_ms())

    def retained(self, first_offset: Offset) -> None:
        """Retention has dropped what is before that."""
        self._member.retained(first_offset)

    def tick(self, _now_ms: int) -> Effects:
        """Time is the node's matter here: it ticks the whole member."""
        return ()

    def _all(self, effects: MemberEffects) -> Effects:
        self._take(effects)
        return ()


class ReplicaAdapter:
    """What the follower's driver calls on a `Replica`; it performs all effects."""

    def __init__(
        self,
        member: Member,
        notice: Callable[[MemberEffects], None],
        chronicle: Callable[[], Chronicle],
    ) -> None:
        """`notice` sees effects before they wait for their turn.

        `chronicle` reads the reigns and configurations that a snapshot has brought.
        """
        self._member = member
        self._notice = notice
        self._chronicle = chronicle

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        replica = self._member.replica
        return LinkState.STOPPED if replica is None else replica.state

    def drops_unstored(self) -> bool:
        """Whether what finds no room is not to be stored any more."""
        return self._member.drops_unstored()

    def grows(self, size_bytes: int, now_ms: int) -> None:
        """So many bytes have come of a message that is not whole yet."""
        if (replica := self._member.replica) is not None:
            replica.grows(size_bytes, now_ms)

    def retention_floor(self) -> Offset:
        """The first offset that the log must keep."""
        return self._member.retention_floor()

    def retained(self, first_offset: Offset) -> None:
        """Retention has dropped what is before that."""
        self._member.retained(first_offset)

    def base_at(self, offset: Offset) -> Base | None:
        """What a log that goes on behind that entry must know; None: not at hand."""
        known = self._member.configurations
        named = [one for one in known if one.offset <= offset]
        if not named:
            return None
        history = self._member.history.truncated_after(offset)
        return Base(offset, history, named[-1].offset, named[-1].configuration)

    def start(self) -> MemberEffects:
        """Look for the master."""
        return self._all(self._member.start())

    def stop(self) -> MemberEffects:
        """Leave, for good: the driver closes the connection by itself."""
        return ()

    def connected_to_master(self, now_ms: int) -> MemberEffects:
        """The connection stands: say Hello."""
        return self._all(self._member.connected_to_master(now_ms))

    def disconnected(self, reason: str) -> MemberEffects:
        """The connection broke or could not be had."""
        return self._all(self._member.lost_master(reason, now_ms()))

    def receive(self, message: Message, now_ms: int) -> MemberEffects:
        """A message of the master."""
        return self._all(self._member.from_master(message, now_ms))

    def receive_entries(
        self, entries: Sequence[WalEntry], now_ms: int
    ) -> MemberEffects:
        """Several whole entries at once."""
        return self._all(self._member.entries_from_master(entries, now_ms))

    def stored(self, offset: Offset, now_ms: int) -> MemberEffects:
        """The log is durable up to `offset`."""
        return self._all(self._member.stored(offset, now_ms))

    def lacks_space(self, now_ms: int) -> MemberEffects:
        """The disk has no room for what is to be stored; it is tried again."""
        return self._all(self._member.lacks_space(now_ms))

    def applied(self, offset: Offset, now_ms: int) -> MemberEffects:
        """The database holds the entries up to `offset`."""
        return self._all(self._member.applied(offset, now_ms))

    def apply_failed(self, reason: str, now_ms: int) -> MemberEffects:
        """An entry does not fit the rows here."""
        return self._all(self._member.apply_failed(reason, now_ms))

    def rewound(self, now_ms: int) -> MemberEffects:
        """The log ends where the master's history has left it."""
        return self._all(self._member.rewound(now_ms))

    def rewind_failed(self, reason: str, now_ms: int) -> MemberEffects:
        """Log and database are as they were."""
        return self._all(self._member.rewind_failed(reason, now_ms))

    def installed(
        self, position: Position, _history: EpochHistory, now_ms: int
    ) -> MemberEffects:
        """Database (if there is one) and log stand at the snapshot's position."""
        told = self._chronicle()
        return self._all(
            self._member.installed(position, told.history, told.configurations, now_ms)
        )

    def install_failed(self, reason: str, now_ms: int) -> MemberEffects:
        """The snapshot was no good."""
        return self._all(self._member.install_failed(reason, now_ms))

    def tick(self, _now_ms: int) -> MemberEffects:
        """Time is the node's matter here."""
        return ()

    def _all(self, effects: MemberEffects) -> MemberEffects:
        self._notice(effects)
        return effects
