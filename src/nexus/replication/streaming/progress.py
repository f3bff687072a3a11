"""One replica in its master's eyes: what it was sent, what it holds, how it fares."""

from nexus.model.cluster import LinkState, NodeId, ReplicaStatus
from nexus.model.position import NO_OFFSET, Offset
from nexus.protocol.messages import Hello, WalAck
from nexus.replication.effects import Peer, Stream
from nexus.replication.settings import WITNESS
from nexus.replication.timing.ages import EntryAges
from nexus.replication.timing.delay import delay_of, wanted_ms


class Progress:
    """Owned by the fleet; it lives on while the replica is away."""

    __slots__ = (
        "_rewinds_to",
        "_sending_stop",
        "_streams",
        "acked",
        "address",
        "applied",
        "bytes_sent",
        "commit_told",
        "connected_ms",
        "delay_ms",
        "entries_sent",
        "full",
        "gone_ms",
        "heard_ms",
        "http_url",
        "is_witness",
        "moved_ms",
        "next_offset",
        "no_space",
        "node_id",
        "paused",
        "peer",
        "pinged_ms",
        "shared",
        "voter",
    )

    def __init__(self, node_id: NodeId) -> None:
        self.node_id = node_id
        self.address = ""
        self.http_url = ""
        self.voter = False
        """It says that it may reign: under etcd, which has no voters."""
        self.delay_ms = 0
        """By how much it applies later on purpose."""
        self.is_witness = False
        """It keeps the log alone: what it lacks of that is its lag."""
        self.paused = False
        self.full = False
        """It is a witness whose log has reached its cap: it stores nothing more."""
        self.no_space = False
        """Its disk has no space for an entry."""
        self.peer: Peer | None = None
        """None while there is no connection."""
        self.acked = NO_OFFSET
        """Durable there, and the same entries as here."""
        self.applied = NO_OFFSET
        self.shared = NO_OFFSET
        """Its log is this log up to here: a snapshot must not take it back."""
        self.next_offset = Offset(1)
        self.commit_told = NO_OFFSET
        self._sending_stop = NO_OFFSET
        """Where the Stream that is under way stops; 0 if none is."""
        self._streams = False
        self._rewinds_to: Offset | None = None
        """The last entry that it keeps, while it takes back what follows."""
        self.bytes_sent = 0
        self.entries_sent = 0
        self.heard_ms = self.pinged_ms = self.connected_ms = 0
        self.moved_ms = self.gone_ms = 0

    @property
    def state(self) -> LinkState:
        """As the replica list shows it."""
        if self.peer is None:
            return LinkState.RECONNECTING
        if not self._streams:
            rewinds = self._rewinds_to is not None
            return LinkState.REWINDING if rewinds else LinkState.FULL_SYNC
        return LinkState.PAUSED if self.paused else LinkState.STREAMING

    @property
    def streams(self) -> bool:
        """Whether its log matches this one, so that entries and acks count."""
        return self._streams

    @property
    def rewinds_to(self) -> Offset | None:
        """The last entry that it keeps, while it takes back what follows."""
        return self._rewinds_to

    @property
    def sent_limit(self) -> Offset:
        """The last offset that it may have received by now."""
        return Offset(max(self.next_offset, self._sending_stop) - 1)

    def connected(self, peer: Peer, hello: Hello, now_ms: int) -> None:
        """A connection stands; what it may be sent is decided next."""
        self.peer = peer
        self.address = hello.address
        self.http_url = hello.http_url
        self.voter = hello.voter
        self.delay_ms = delay_of(hello.features)
        self.is_witness = WITNESS in hello.features
        self.heard_ms = self.pinged_ms = self.connected_ms = self.moved_ms = now_ms
        self._sending_stop = NO_OFFSET

    def gone(self, now_ms: int) -> None:
        """The connection has ended; what the replica acknowledged stays known."""
        self.peer = None
        self._streams = False
        self._rewinds_to = None
        self._sending_stop = NO_OFFSET
        self.gone_ms = now_ms

    def streams_from(self, offset: Offset, commit: Offset) -> None:
        """Its log is this log up to `offset`, and it was told the commit offset."""
        self._streams = True
        self._rewinds_to = None
        self.next_offset = Offset(offset + 1)
        self.acked = self.shared = offset
        self.applied = min(self.applied, offset)
        self.commit_told = commit

    def rewinds(self, to: Offset) -> None:
        """It takes back what follows `to`, and says so with its first ack."""
        self.replaces(to)
        self._rewinds_to = to

    def replaces(self, after: Offset) -> None:
        """What it has after that offset will be replaced."""
        self.needs_snapshot()
        self.shared = after

    def needs_snapshot(self) -> None:
        """Its data will be replaced: nothing that it acknowledged counts any more."""
        self._streams = False
        self._rewinds_to = None
        self._sending_stop = NO_OFFSET
        self.shared = max(self.shared, self.acked)
        self.acked = NO_OFFSET

    def next_stream(self, end: Offset, commit: Offset, window: int) -> Stream | None:
        """The entries to send now, if any; the Stream counts as under way."""
        if self.peer is None or not self._streams or self.paused or self._sending_stop:
            return None
        start = self.next_offset
        stop = Offset(min(end, self.acked + window) + 1)
        if start >= stop:
            return None
        self._sending_stop = stop
        self.commit_told = commit
        return Stream(self.peer, start, stop, commit)

    def awaits_commit(self, commit: Offset) -> bool:
        """Whether no entry brings it the commit offset: a Ping must (hard-case 9)."""
        return (
            self._streams
            and self.commit_told < commit < self.next_offset
            and not self._sending_stop
        )

    def streamed(self, next_offset: Offset, bytes_sent: int) -> bool:
        """The Stream under way ended before `next_offset`; False if there was none."""
        if not self._sending_stop:
            return False
        assert self.next_offset <= next_offset <= self._sending_stop, (
            f"streamed up to {next_offset}, asked for {self.next_offset} to "
            f"{self._sending_stop}"
        )
        self.entries_sent += next_offset - self.next_offset
        self.bytes_sent += bytes_sent
        self.next_offset = next_offset
        self._sending_stop = NO_OFFSET
        return True

    def acknowledged(self, durable: Offset, applied: Offset, now_ms: int) -> None:
        """It holds and has applied so much; an older ack changes nothing."""
        if durable > self.acked:
            self.acked = durable
            self.moved_ms = now_ms
        if applied > self.applied:
            self.applied = applied
            self.moved_ms = now_ms

    def heeds(self, ack: WalAck) -> None:
        """Whether there is room for more."""
        self.full, self.no_space = ack.full, ack.no_space

    def ack_of(self, durable: Offset) -> WalAck:
        """What it says by its Hello, where its log is this log up to `durable`."""
        full, no_space = self.full, self.no_space
        return WalAck(durable, self.applied, full=full, no_space=no_space)

    def is_silent(self, now_ms: int, dead_after_ms: int) -> bool:
        """Whether nothing was heard for the dead-time."""
        return now_ms - self.heard_ms > dead_after_ms

    def holds_more(self, heard_ms: int, *, overruns: bool) -> bool:
        """Whether an entry can be held there: it streams, was heard of, and has room.

        With `overruns` it stores what comes although its log is at its cap.
        """
        has_room = (overruns or not self.full) and not self.no_space
        return self._streams and has_room and self.heard_ms >= heard_ms

    def is_healthy(self, now_ms: int, dead_after_ms: int, ages: EntryAges) -> bool:
        """Connected, heard of, and getting on: an open connection proves little."""
        if self.peer is None or self.is_silent(now_ms, dead_after_ms):
            return False
        if not self._streams or self.paused:
            return True
        # Who had nothing to store for long did not move, and is well.
        behind_ms = ages.age_ms(self.acked, now_ms)
        return min(behind_ms, now_ms - self.moved_ms) <= dead_after_ms

    def status(
        self,
        ages: EntryAges,
        durable: Offset,
        now_ms: int,
        dead_after_ms: int,
        voters: frozenset[NodeId],
    ) -> ReplicaStatus:
        """Its row in the list of replicas."""
        late_ms = wanted_ms(self.delay_ms)
        reached = self.acked if self.is_witness else self.applied
        age_ms = ages.age_ms(reached, now_ms)
        due = ages.known_at(now_ms - late_ms) if late_ms else durable
        up_ms = 0 if self.peer is None else now_ms - self.connected_ms
        return ReplicaStatus(
            id=self.node_id,
            addr=self.address,
            http_url=self.http_url,
            voter=self.voter or self.node_id in voters,
            last_ack_offset=self.acked,
            applied_offset=self.applied,
            lag=max(0, due - reached),
            lag_seconds=max(0, age_ms - late_ms) / 1000,
            healthy=self.is_healthy(now_ms, dead_after_ms, ages),
            connected_seconds=up_ms / 1000,
            bytes_sent=self.bytes_sent,
            state=self.state,
            apply_delay_ms=self.delay_ms,
            full=self.full and self._streams,
            no_space=self.no_space and self._streams,
        )
