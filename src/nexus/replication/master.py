"""The master's side of a cluster: who may follow, and what becomes of each.

One object for all replicas and for one reign: a new reign makes a new one. Every
method returns the effects to perform, in order (see `effects`).
"""

from nexus.model.cluster import MasterStats, NodeId, ReplicaStatus
from nexus.model.position import EpochHistory, Offset, Position
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Message,
    Ping,
    Plan,
    Pong,
    RequestSnapshot,
    SnapshotComplete,
    WalAck,
)
from nexus.replication.effects import (
    Close,
    Effect,
    Effects,
    Level,
    Peer,
    Report,
    Send,
    StepDown,
    StopWrites,
)
from nexus.replication.handshake.admission import Admission, Refusal, deposes, judged
from nexus.replication.handshake.announcement import announcement
from nexus.replication.handshake.introduction import welcome_of
from nexus.replication.settings import Identity, LogExtent, MasterSettings
from nexus.replication.streaming.progress import Progress
from nexus.replication.streaming.streams import Streams
from nexus.replication.streaming.transfers import FullSyncs


class Master:
    """Decides for all replicas of one reign; knows no socket, file or clock."""

    def __init__(
        self,
        identity: Identity,
        settings: MasterSettings,
        history: EpochHistory,
        log: LogExtent,
        now_ms: int,
    ) -> None:
        """Begin with no replicas.

        `history` ends with this node's own reign, whose first entry may not be
        durable yet.
        """
        assert identity.cluster_id, "a master has a cluster"
        assert history.reigns, "a master reigns"
        self._identity = identity
        self._settings = settings
        self._history = history
        self._streams = Streams(identity, settings, history, log, now_ms)
        self._fleet = self._streams.fleet
        self._full_syncs = FullSyncs(settings)
        self._deposed: StepDown | None = None
        self._rejected = 0

    @property
    def history(self) -> EpochHistory:
        """All reigns, this one last."""
        return self._history

    @property
    def commit_offset(self) -> Offset:
        """The last offset that replicas may apply."""
        return self._streams.commit

    @property
    def deposed(self) -> StepDown | None:
        """The order to step down, once it was given."""
        return self._deposed

    @property
    def paused(self) -> bool:
        """Whether the streams of all replicas are paused."""
        return self._fleet.all_paused

    # --- Connections -----------------------------------------------------------------

    def hello(self, peer: Peer, hello: Hello, now_ms: int) -> Effects:
        """A proven Hello on a new connection: Welcome and what follows, or Close.

        `peer` is a name that was never used before. The driver adds `auth` to the
        Welcome, the first message that goes to this peer.
        """
        if self._deposed is not None:
            return (self._refusal(peer, ErrorCode.NOT_MASTER, self._deposed.reason),)
        verdict = judged(hello, self._identity, self._history, self._streams.extent)
        if isinstance(verdict, Refusal):
            return self._refused(peer, hello, verdict, now_ms)
        effects: Effects = ()
        if (earlier := self._fleet.peer_of(hello.node_id)) is not None:
            reason = self._fleet.why_replaced(hello)
            effects = self._closed(earlier, ErrorCode.BUSY, reason, now_ms)
        progress = self._fleet.join(peer, hello, now_ms)
        if progress is None:
            reason = f"{self._settings.max_replicas} replicas are connected, the limit"
            return (self._refusal(peer, ErrorCode.BUSY, reason),)
        return (*effects, *self._welcomed(peer, progress, verdict, now_ms))

    def disconnected(self, peer: Peer, now_ms: int) -> Effects:
        """The connection is gone; nothing happens if this machine closed it."""
        if self._fleet.leave(peer, now_ms) is None:
            return ()
        return self._full_syncs.ended(peer)

    def receive(self, peer: Peer, message: Message, now_ms: int) -> Effects:
        """A message of a welcomed peer; ignored from one that was closed."""
        progress = self._fleet.at(peer)
        if progress is None:
            return ()
        progress.heard_ms = now_ms
        match message:
            case WalAck() | Pong():
                return self._acked(peer, progress, message, now_ms)
            case Ping():
                return self._pinged(peer, message, now_ms)
            case RequestSnapshot():
                log = self._streams.log
                return self._full_syncs.wanted(progress, message, log, now_ms)
            case SnapshotComplete() | Error():
                return self._told(peer, progress, message, now_ms)
            case _:
                reason = f"a replica never sends {type(message).__name__}"
                return self._closed(peer, ErrorCode.MALFORMED, reason, now_ms)

    def announcement(self) -> Hello:
        """What to tell nodes that may not know of this reign (see `announcement`)."""
        end = self._streams.log.durable_offset
        return announcement(self._identity, self._history, end)

    # --- The log ---------------------------------------------------------------------

    def stored(self, offset: Offset, now_ms: int) -> Effects:
        """The log is durable up to `offset`: that may be sent, and counts."""
        return () if self._deposed else self._streams.stored(offset, now_ms)

    def retained(self, first_offset: Offset) -> None:
        """Retention has dropped what is before `first_offset`."""
        self._streams.retained(first_offset)

    def retention_floor(self) -> Offset:
        """The first offset that the log must keep, whatever its size.

        Nothing after the commit offset goes, nor what a full sync will need.
        """
        after_commit = Offset(self._streams.commit + 1)
        return min(after_commit, self._full_syncs.retention_floor(after_commit))

    @property
    def quorum(self) -> int:
        """How many nodes must hold an entry before it is committed."""
        return self._settings.quorum

    @property
    def needed(self) -> int:
        """The same, where a majority of the voters is asked for too."""
        return self._streams.tally.quorum

    def nodes_in_reach(self, now_ms: int) -> int:
        """How many nodes, this one included, can acknowledge an entry now."""
        return self._streams.nodes_in_reach(now_ms)

    def durable_on(self, offset: Offset) -> int:
        """How many nodes, this one included, are known to hold an entry."""
        return self._streams.durable_on(offset)

    def streamed(
        self, peer: Peer, next_offset: Offset, bytes_sent: int, now_ms: int
    ) -> Effects:
        """A Stream is done: the entries before `next_offset` are on their way."""
        progress = self._fleet.at(peer)
        if progress is None or not progress.streamed(next_offset, bytes_sent):
            return ()
        return self._streams.feed(progress, now_ms)

    def log_gap(self, peer: Peer, first_offset: Offset, now_ms: int) -> Effects:
        """A Stream failed: the log begins at `first_offset`. The peer starts anew."""
        self.retained(first_offset)
        reason = f"the log begins at entry {first_offset} now: connect for a full sync"
        return self._closed(peer, ErrorCode.BUSY, reason, now_ms)

    # --- Snapshots -------------------------------------------------------------------

    def snapshot_started(self, peer: Peer, position: Position) -> Effects:
        """A snapshot of this position goes to the peer: keep what follows it."""
        progress = self._fleet.at(peer)
        return () if progress is None else self._full_syncs.started(progress, position)

    def snapshot_sent(self, peer: Peer) -> Effects:
        """Its last frame is written: the next replica in the queue gets its turn."""
        return self._full_syncs.sent(peer)

    def snapshot_failed(self, peer: Peer, reason: str, now_ms: int) -> Effects:
        """It could not be made or read: the replica is told, and asks again later."""
        report = Report(Level.ERROR, "snapshot_failed", f"for {peer}: {reason}")
        return (report, *self._closed(peer, ErrorCode.BUSY, reason, now_ms))

    # --- Time and operators ----------------------------------------------------------

    def tick(self, now_ms: int) -> Effects:
        """Heartbeats, silent peers, old pins; a few times per heartbeat is enough."""
        effects: list[Effect] = []
        for peer, progress in self._fleet.connected():
            if progress.is_silent(now_ms, self._settings.dead_after_ms):
                reason = f"nothing heard for {now_ms - progress.heard_ms} ms"
                effects += self._closed(peer, ErrorCode.BUSY, reason, now_ms)
        end = self._streams.log.durable_offset
        effects += self._full_syncs.drop_expired(end, now_ms)
        return (*effects, *self._streams.tick(now_ms))

    def pause(self, replica: NodeId | None = None) -> Effects:
        """Stop streaming to one or all; heartbeats go on. NotFoundError: unknown."""
        self._fleet.set_paused(replica, paused=True)
        detail = f"no entries go to {replica or 'any replica'}"
        return (Report(Level.INFO, "paused", detail),)

    def resume(self, replica: NodeId | None, now_ms: int) -> Effects:
        """Stream again, from where it stopped. NotFoundError: unknown."""
        self._fleet.set_paused(replica, paused=False)
        detail = f"entries go to {replica or 'all replicas'} again"
        return (Report(Level.INFO, "resumed", detail), *self._streams.fed(now_ms))

    def replicas(self, now_ms: int) -> tuple[ReplicaStatus, ...]:
        """Every replica known, connected or not."""
        return self._streams.replicas(now_ms)

    def stats(self, now_ms: int) -> MasterStats:
        """The machine's share; log_size and the sync counters are the driver's (0)."""
        return self._streams.stats(
            now_ms, transfers=self._full_syncs.completed, rejected=self._rejected
        )

    # --- How -------------------------------------------------------------------------

    def _refused(
        self, peer: Peer, hello: Hello, refusal: Refusal, now_ms: int
    ) -> Effects:
        match refusal.code:
            case ErrorCode.DEPOSED:
                self._rejected += 1
                order = deposes(hello, refusal.message)
                farewell = self._stepped_down(order, now_ms)
                return (*farewell, self._goodbye(peer, refusal.code, order.reason))
            case ErrorCode.SPLIT:
                stop = StopWrites(refusal.message)
                return (stop, self._refusal(peer, refusal.code, refusal.message))
            case _:
                return (self._refusal(peer, refusal.code, refusal.message),)

    def _stepped_down(self, order: StepDown, now_ms: int) -> Effects:
        """The order first: nothing is acknowledged after it. Then everybody leaves."""
        self._deposed = order
        effects: list[Effect] = [order]
        for peer, _ in self._fleet.connected():
            effects.append(self._goodbye(peer, ErrorCode.DEPOSED, order.reason))
            self._fleet.leave(peer, now_ms)
        return tuple(effects)

    def _refusal(self, peer: Peer, code: ErrorCode, message: str) -> Close:
        self._rejected += 1
        return self._goodbye(peer, code, message)

    def _goodbye(self, peer: Peer, code: ErrorCode, message: str) -> Close:
        """With the highest epoch and the master that this node knows of."""
        if self._deposed is not None:
            order = self._deposed
            return Close(peer, code, message, order.epoch, order.master_addr)
        return Close(peer, code, message, self._history.epoch, self._identity.address)

    def _closed(
        self, peer: Peer, code: ErrorCode, message: str, now_ms: int
    ) -> Effects:
        """End a welcomed peer's connection; nothing if it has ended already."""
        if self._fleet.at(peer) is None:
            return ()
        return (self._goodbye(peer, code, message), *self.disconnected(peer, now_ms))

    def _welcomed(
        self, peer: Peer, progress: Progress, admission: Admission, now_ms: int
    ) -> Effects:
        streams = self._streams
        welcome = welcome_of(
            self._identity,
            self._history,
            end=streams.extent.durable_offset,
            commit=streams.commit,
            admission=admission,
            heartbeat_ms=self._settings.heartbeat_ms,
        )
        fed = streams.joined(progress, admission, now_ms)
        if admission.plan is not Plan.FULL_SYNC:
            self._full_syncs.streams(progress, streams.log.durable_offset)
        return (Send(peer, welcome), *fed)

    def _acked(
        self, peer: Peer, progress: Progress, ack: WalAck | Pong, now_ms: int
    ) -> Effects:
        lie = self._streams.refuted(progress, ack)
        if lie:
            return self._closed(peer, ErrorCode.MALFORMED, lie, now_ms)
        if isinstance(ack, WalAck) and not ack.success:
            progress.needs_snapshot()
            detail = f"{progress.node_id} cannot apply entry {ack.applied_offset + 1}"
            return (Report(Level.ERROR, "apply_conflict", detail),)
        effects = self._streams.acknowledged(progress, ack, now_ms)
        self._full_syncs.acknowledged(progress)
        return effects

    def _pinged(self, peer: Peer, ping: Ping, now_ms: int) -> Effects:
        if ping.epoch > self._history.epoch:
            reason = (
                f"a replica has met epoch {ping.epoch}, above {self._history.epoch}"
            )
            return self._stepped_down(StepDown(ping.epoch, "", reason), now_ms)
        durable = self._streams.log.durable_offset
        return (Send(peer, Pong(ping.timestamp, durable, durable)),)

    def _told(
        self,
        peer: Peer,
        progress: Progress,
        message: SnapshotComplete | Error,
        now_ms: int,
    ) -> Effects:
        if isinstance(message, SnapshotComplete):
            done = "has installed" if message.success else "could not install"
            detail = f"{progress.node_id} {done} snapshot {message.snapshot_id}"
            level = Level.INFO if message.success else Level.WARNING
            return (Report(level, "snapshot_answered", detail),)
        detail = f"{progress.node_id} closes: {message.code}: {message.message}"
        report = Report(Level.WARNING, "replica_error", detail)
        return (report, *self.disconnected(peer, now_ms))
