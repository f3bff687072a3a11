"""The replica's side: find the master, follow its log, replace what does not fit.

Every method returns the effects to perform, in order (see `effects`). Wherever the
connection is lost the machine itself asks for the next one; the log, and what has
arrived of a snapshot, go on where they stood. The link's legal moves are in `link`.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from nexus.errors import ProtocolError
from nexus.model.cluster import LinkState
from nexus.model.position import EpochHistory, Offset, Position
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Message,
    Ping,
    Plan,
    Pong,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    WalAck,
    WalEntry,
    Welcome,
)
from nexus.replication.effects import (
    MASTER,
    Adopt,
    Effects,
    Level,
    Peer,
    Report,
    Send,
    Store,
)
from nexus.replication.following.acceptance import (
    check_ping,
    looped,
    pointed_to,
    weighed,
)
from nexus.replication.following.applying import Applying
from nexus.replication.following.full_sync import FullSync
from nexus.replication.following.homing import Homing
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.keeping import Keeping
from nexus.replication.following.link import Link, retries
from nexus.replication.following.rewinding import Rewinding
from nexus.replication.following.view import ReplicaView
from nexus.replication.handshake.admission import Refusal
from nexus.replication.handshake.cascade import CASCADE, upstream_of
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.handshake.visitor import answer_to
from nexus.replication.settings import Identity, RecoveredState, ReplicaSettings


class Replica(ReplicaView):
    """Decides for one replica; knows no socket, file or clock."""

    def __init__(
        self,
        identity: Identity,
        settings: ReplicaSettings,
        recovered: RecoveredState,
        random: Callable[[], float],
    ) -> None:
        """STOPPED until `start`; `random` gives fractions of [0, 1) for the jitter."""
        self._identity = identity
        self._epoch = max(recovered.epoch, recovered.history.epoch)
        link = Link(settings, random)
        log = Incoming(recovered, settings.apply_delay_ms)
        self._link, self._log, keeping = link, log, Keeping(log)
        wait = retries(settings, random)
        self._full_sync = FullSync(identity.node_id, link, log, keeping, wait)
        self._full_sync.wanted = self._full_sync.is_broken = recovered.incomplete
        self._rewinding = Rewinding(link, log, keeping, self._full_sync)
        self.applying = Applying(log, paused=recovered.paused)
        self._was_paused = recovered.paused
        self._cascades = settings.cascades
        self.homing: Homing | None = None
        """Of a replica that may follow a stand-in."""
        if settings.cascades:
            away = settings.home_ms
            self.homing = Homing(identity.node_id, link, log, steady_ms=away)
        self.waiting: tuple[str, ...] = ()
        """For Hello: who waits for this node to follow somebody."""
        self.master = None
        self._no_space = False
        """Whether the disk has none for what is to be stored."""

    # --- The link --------------------------------------------------------------------

    def start(self) -> Effects:
        """Look for the master."""
        connect = self._link.started()
        if not self._was_paused:
            return connect
        detail = "as before the restart: entries are stored, not applied"
        return (Report(Level.INFO, "paused", detail), *connect)

    def stop(self) -> Effects:
        """Leave the master, for good or until `start`."""
        return self._link.stopped()

    def resume_snapshot(self, snapshot_id: str, next_chunk: int) -> None:
        """So much of a snapshot is on disk, from before a restart: go on there."""
        self._full_sync.resume_from(snapshot_id, next_chunk)

    def connected_to_master(self, now_ms: int) -> Effects:
        """The connection stands: say Hello (the driver proves the secret)."""
        log = self._log
        if self._link.awaits_disk or log.received != log.durable:
            return self._link.given_up("the disk is still at work: not connecting yet")
        self._link.connected(now_ms)
        return (Send(MASTER, self.hello_at(log.durable)),)

    def hello_at(self, offset: Offset) -> Hello:
        """How it introduces itself as one whose log ends there."""
        history = self._log.history
        hello = hello_of(self._identity, history, offset, epoch=self._epoch)
        if not self._cascades:
            return hello
        return replace(hello, features=(*hello.features, CASCADE, *self.waiting))

    def disconnected(self, reason: str) -> Effects:
        """The connection broke or could not be had, without a Disconnect effect."""
        return self._link.broken(reason)

    def grows(self, size_bytes: int, now_ms: int) -> None:
        """So many bytes have come of a message that is not whole yet."""
        self._link.grows(size_bytes, now_ms)

    def receive(self, message: Message, now_ms: int) -> Effects:
        """A message of the master; nothing, if its connection was given up."""
        if isinstance(message, WalEntry) and self._link.streams:
            return self.receive_entries((message,), now_ms)
        if not (self._link.is_welcome or self._link.awaits_welcome):
            return ()
        self._link.heard(now_ms)
        try:
            return self._answered(message, now_ms)
        except ProtocolError as error:
            return self._link.given_up(str(error), ErrorCode.MALFORMED)

    def receive_entries(self, entries: Sequence[WalEntry], now_ms: int) -> Effects:
        """Entries (at least one), whole and decompressed: a single Store, or none."""
        if not self._link.streams:
            return self.receive(entries[0], now_ms)
        self._link.heard(now_ms)
        try:
            records = self._log.take(entries, now_ms)
        except ProtocolError as error:
            return self._link.given_up(str(error), ErrorCode.MALFORMED)
        return (Store(tuple(records)),) if records else ()

    def hello(self, peer: Peer, hello: Hello) -> Effects:
        """Somebody takes this node for a master, or a new master announces itself."""
        following = self._link.address if self.is_connected else ""
        identity, epoch = self._identity, self._epoch
        close, is_news = answer_to(peer, hello, identity, epoch, following)
        if not is_news or self.state is LinkState.STOPPED:
            return (close,)
        reason = f"{hello.node_id} reigns in epoch {hello.epoch}"
        follow = self._link.other_master(hello.address, at_once=True)
        return (close, *self._link.given_up(reason, instead=follow))

    # --- The disk --------------------------------------------------------------------

    def stored(self, offset: Offset, now_ms: int) -> Effects:
        """The log is durable up to `offset`: say so, then apply what is committed."""
        assert offset <= self._log.received, "nothing is stored that was not received"
        self._log.durable = max(self._log.durable, offset)
        self._no_space = False
        return (*self._acknowledged(now_ms), *self.applying.due(now_ms))

    def lacks_space(self, now_ms: int) -> Effects:
        """What is to be stored has no room, and is tried again until it has: say so."""
        self._no_space = True
        return self._acknowledged(now_ms)

    def applied(self, offset: Offset, now_ms: int) -> Effects:
        """The database holds the entries up to `offset`."""
        self._log.has_applied(offset)
        # One ack when all is applied, not one for each step: lag falls to 0 at once.
        return self._acknowledged(now_ms) if offset >= self._log.goal else ()

    def apply_failed(self, reason: str, now_ms: int) -> Effects:
        """An entry does not fit the rows here: only a snapshot mends that."""
        return self._full_sync.apply_failed(reason, now_ms)

    def installed(
        self, position: Position, history: EpochHistory, now_ms: int
    ) -> Effects:
        """Database and log stand at the snapshot's position: go on from there."""
        return self._full_sync.installed(position, history, now_ms)

    def install_failed(self, reason: str, now_ms: int) -> Effects:
        """The snapshot or a chunk of it was no good; everything is as it was."""
        return self._full_sync.failed(reason, now_ms)

    def rewound(self, now_ms: int) -> Effects:
        """What a Rewind was to take back is gone: go on from there."""
        waited = self._rewinding.ended()
        return self._goes_on(now_ms) if self.state is LinkState.REWINDING else waited

    def rewind_failed(self, reason: str, now_ms: int) -> Effects:
        """Nothing was taken back; a full sync it is."""
        return self._rewinding.failed(reason, now_ms)

    # --- Time and operators ----------------------------------------------------------

    def tick(self, now_ms: int) -> Effects:
        """Deadlines and heartbeats; a few times per heartbeat is enough."""
        late = self._link.overdue(now_ms)
        if late:
            return self._link.given_up(late)
        if self._link.is_steady(now_ms):
            self._full_sync.steady()
        effects = self.applying.due(now_ms) if self.apply_delay_ms else ()
        if self._link.heartbeat_due(now_ms):
            ping = Ping(now_ms, self._log.durable, epoch=self._epoch)
            effects = (*effects, self._link.say(ping, now_ms))
        if self.state is LinkState.FULL_SYNC:
            return (*effects, *self._full_sync.request(now_ms))
        return effects

    def pause(self) -> Effects:
        """Apply no more (the driver drops an Apply that waits); go on receiving."""
        self.applying.pause()
        self._shows_pause()
        return (Report(Level.INFO, "paused", "entries are stored, not applied"),)

    def apply_until(self, last: Offset, now_ms: int) -> Effects:
        """Apply what has come up to this entry, however young it is, and pause there.

        The driver has dropped an Apply that waited, and said what was applied. Once
        that entry is taken back nothing more is applied: others have its offset then.
        """
        self.applying.until(last)
        self._shows_pause()
        detail = f"entries are applied up to {last}, the rest are stored"
        report = Report(Level.INFO, "paused", detail)
        return (report, *self.applying.due(now_ms))

    def resume(self, now_ms: int, *, at_once: bool = False) -> Effects:
        """Apply again from where it stopped; `at_once` even what is held back."""
        self.applying.resume(at_once=at_once)
        self._shows_pause()
        report = Report(Level.INFO, "resumed", "entries are applied")
        return (report, *self.applying.due(now_ms))

    def _shows_pause(self) -> None:
        if self._link.streams:
            self._link.begins_streaming(paused=self.paused)

    # --- How -------------------------------------------------------------------------

    def _answered(self, message: Message, now_ms: int) -> Effects:
        state = self.state
        match message:
            case Error():
                return self._refused(message)
            case Welcome() if state is LinkState.CONNECTING:
                return self._welcomed(message, now_ms)
            case Ping() if self._link.is_welcome:
                return self._pinged(message, now_ms)
            case SnapshotMeta() | SnapshotChunk() | SnapshotComplete() if self.master:
                if state is LinkState.FULL_SYNC:
                    return self._full_sync.receive(message, self.master.history)
        # What was sent before the master knew of a full sync still arrives in it.
        if isinstance(message, Pong | WalEntry) and self._link.is_welcome:
            return ()
        raise ProtocolError(f"{type(message).__name__} came while the link is {state}")

    def _welcomed(self, welcome: Welcome, now_ms: int) -> Effects:
        verdict = looped(welcome, self._identity.node_id) or weighed(
            welcome, self.cluster_id, self._epoch, self._log
        )
        if isinstance(verdict, Refusal):
            report = Report(Level.ERROR, "master_not_accepted", verdict.message)
            return (report, *self._link.given_up(verdict.message, verdict.code))
        self.master = welcome
        self._link.learn(upstream_of(welcome.features))
        self._epoch = welcome.epoch
        self._identity = replace(self._identity, cluster_id=welcome.cluster_id)
        self._link.welcomed(welcome.heartbeat_ms, now_ms)
        self._log.met(welcome, now_ms)
        adopt, fork = Adopt(welcome), verdict.fork
        if verdict.plan is Plan.FULL_SYNC or self._full_sync.wanted:
            return (adopt, *self._full_sync.begin(fork, now_ms))
        if verdict.plan is Plan.REWIND:
            return (adopt, *self._rewinding.begin(fork))
        return (adopt, *self._goes_on(now_ms))

    def _goes_on(self, now_ms: int) -> Effects:
        """Up to its end, this log is the master's."""
        assert self.master is not None, "a master has welcomed this replica"
        if self._full_sync.wanted:  # an entry before the end did not fit
            return self._full_sync.begin(self._log.received, now_ms)
        self._log.matched(self.master.history)
        self._link.begins_streaming(paused=self.paused)
        return (*self._acknowledged(now_ms), *self.applying.due(now_ms))

    def _pinged(self, ping: Ping, now_ms: int) -> Effects:
        master = self.master
        assert master is not None, "only a welcomed replica listens to pings"
        check_ping(ping, master)
        self._log.pinged(ping, now_ms)
        pong = Pong(ping.timestamp, self._log.durable, self._log.applied)
        return (self._link.say(pong, now_ms), *self.applying.due(now_ms))

    def _refused(self, error: Error) -> Effects:
        """The master closes; it may know a better one."""
        reason = f"{error.code}: {error.message}"
        level = Level.INFO if error.code == ErrorCode.NOT_MASTER else Level.WARNING
        report = Report(level, "master_refused", reason)
        address = pointed_to(error, self._epoch)
        if address in ("", self._identity.address):
            return (report, *self._link.given_up(reason))
        follow = self._link.other_master(address, at_once=False)
        return (report, *self._link.given_up(reason, instead=follow))

    def _acknowledged(self, now_ms: int) -> Effects:
        log, full, no_space = self._log, self.is_full, self._no_space
        ack = WalAck(log.durable, log.applied, full=full, no_space=no_space)
        return (self._link.say(ack, now_ms),) if self._link.streams else ()
