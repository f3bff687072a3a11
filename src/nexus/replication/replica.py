"""The replica's side: find the master, follow its log, replace what does not fit.

Every method returns the effects to perform, in order (see `effects`). Wherever the
connection is lost the machine itself asks for the next one; the log, and what has
arrived of a snapshot, go on where they stood.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from nexus.errors import ProtocolError
from nexus.model.cluster import LinkState, ReplicaStats
from nexus.model.position import Epoch, EpochHistory, Offset, Position
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Message,
    Ping,
    Pong,
    RequestSnapshot,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    WalAck,
    WalEntry,
    Welcome,
)
from nexus.replication.acceptance import Acceptance, weighed
from nexus.replication.admission import Refusal, claims_to_be_master
from nexus.replication.announcement import hello_of
from nexus.replication.backoff import Backoff
from nexus.replication.effects import (
    MASTER,
    Adopt,
    Apply,
    Close,
    Diverged,
    Disconnect,
    Effect,
    Effects,
    Level,
    Peer,
    Report,
    Send,
    Store,
)
from nexus.replication.incoming import Incoming
from nexus.replication.intake import Intake
from nexus.replication.route import Route
from nexus.replication.settings import Identity, ReplicaSettings, Standing

MOVES: Final = {
    LinkState.STOPPED: {LinkState.CONNECTING},
    LinkState.CONNECTING: {
        LinkState.STREAMING,
        LinkState.PAUSED,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.STREAMING: {
        LinkState.PAUSED,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.PAUSED: {
        LinkState.STREAMING,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.FULL_SYNC: {LinkState.RECONNECTING, LinkState.STOPPED},
    LinkState.RECONNECTING: {LinkState.CONNECTING, LinkState.STOPPED},
}
"""PAUSED streams, stores and acknowledges, but applies nothing."""

STREAMS: Final = {LinkState.STREAMING, LinkState.PAUSED}
WELCOMED: Final = STREAMS | {LinkState.FULL_SYNC}
CONNECTED: Final = WELCOMED | {LinkState.CONNECTING}


class Replica:
    """Decides for one replica; knows no socket, file or clock."""

    def __init__(
        self,
        identity: Identity,
        settings: ReplicaSettings,
        standing: Standing,
        random: Callable[[], float],
    ) -> None:
        """STOPPED until `start`; `random` gives fractions of [0, 1) for the jitter."""
        self._identity = identity
        self._settings = settings
        self._epoch = max(standing.epoch, standing.history.epoch)
        self._log = Incoming(standing)
        self._route = Route(settings.addresses, self._backoff(random))
        self._intake = Intake(self._backoff(random))
        self._state = LinkState.STOPPED
        self._paused = False
        self._wants_snapshot = False
        self._exported: tuple[Offset, Offset] | None = None
        self._deadline_ms: int | None = None
        self._heard_ms = self._sent_ms = self._streaming_since_ms = 0
        self._dead_after_ms = 0
        self._reconnects = self._full_syncs = self._conflicts = 0
        self.master: Welcome | None = None
        """What the last master said of itself."""
        self.last_error = ""
        """Why the link was lost or refused last; empty once it streams."""

    # --- What is known ---------------------------------------------------------------

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._state

    @property
    def is_connected(self) -> bool:
        """Whether a master has welcomed this replica, and the connection stands."""
        return self._state in WELCOMED

    @property
    def paused(self) -> bool:
        """Whether an operator has stopped the apply."""
        return self._paused

    @property
    def epoch(self) -> Epoch:
        """The highest epoch met."""
        return self._epoch

    @property
    def cluster_id(self) -> str:
        """The own one, or the adopted; empty before."""
        return self._identity.cluster_id

    @property
    def history(self) -> EpochHistory:
        """The reigns of everything received."""
        return self._log.history

    @property
    def commit_offset(self) -> Offset:
        """The last entry known to be committed, here and at the master."""
        return self._log.commit

    def lag(self) -> int:
        """Entries that the master has and this database lacks, as far as is known."""
        return self._log.lag()

    def lag_seconds(self, now_ms: int) -> float:
        """How long the oldest of them has been known; 0 if there is none."""
        return self._log.lag_ms(now_ms) / 1000

    def stats(self, now_ms: int, *, bytes_received: int) -> ReplicaStats:
        """The totals since the machine was made."""
        return ReplicaStats(
            entries_received=self._log.entries_received,
            entries_applied=self._log.entries_applied,
            bytes_received=bytes_received,
            current_offset=self._log.received,
            lag=self.lag(),
            lag_seconds=self.lag_seconds(now_ms),
            reconnects=self._reconnects,
            connected=self.is_connected,
            master_id=self.master.master_id if self.master else "",
            full_syncs=self._full_syncs,
            rewinds=0,
            apply_conflicts=self._conflicts,
        )

    # --- The link --------------------------------------------------------------------

    def start(self) -> Effects:
        """Look for the master."""
        self._move(LinkState.CONNECTING)
        return (self._route.now(),)

    def stop(self) -> Effects:
        """Leave the master, for good or until `start`; nothing, if stopped."""
        if self._state is LinkState.STOPPED:
            return ()
        self._intake.interrupted()
        self._move(LinkState.STOPPED)
        return (Disconnect("this replica stops", ErrorCode.STOPPING),)

    def resume_snapshot(self, snapshot_id: str, next_chunk: int) -> None:
        """So much of a snapshot is on disk, from before a restart: go on there."""
        self._intake.resume_from(snapshot_id, next_chunk)

    def connected(self, now_ms: int) -> Effects:
        """The connection stands: say Hello (the driver proves the secret)."""
        if self._log.received != self._log.durable:
            return self._lost("entries are still being stored: try again")
        self._move(LinkState.CONNECTING)
        self._deadline_ms = now_ms + self._settings.connect_timeout_ms
        log = self._log
        hello = hello_of(self._identity, log.history, log.durable, epoch=self._epoch)
        return (Send(MASTER, hello),)

    def disconnected(self, reason: str) -> Effects:
        """The connection broke or could not be had, without a Disconnect effect."""
        return self._left(reason)

    def receive(self, message: Message, now_ms: int) -> Effects:
        """A message of the master; nothing, if its connection was given up."""
        if self._state not in CONNECTED:
            return ()
        self._heard_ms = now_ms
        try:
            return self._answered(message, now_ms)
        except ProtocolError as error:
            return self._lost(str(error), ErrorCode.MALFORMED)

    def receive_entries(self, entries: Sequence[WalEntry], now_ms: int) -> Effects:
        """Several whole entries (not empty) at once: one Store, or none.

        Parts are joined and payloads decompressed before; the rest is checked here.
        """
        if self._state not in STREAMS:
            # In a full sync, frames sent before the master knew of it still arrive.
            if self._state is LinkState.CONNECTING:
                return self._lost("entries came before a Welcome", ErrorCode.MALFORMED)
            return ()
        self._heard_ms = now_ms
        try:
            records = self._log.take(entries, now_ms)
        except ProtocolError as error:
            return self._lost(str(error), ErrorCode.MALFORMED)
        return (Store(tuple(records)),) if records else ()

    def hello(self, peer: Peer, hello: Hello) -> Effects:
        """Somebody takes this node for a master, or a new master announces itself."""
        own = self._identity.cluster_id
        if own and hello.cluster_id and hello.cluster_id != own:
            reason = f"{hello.node_id} is of cluster {hello.cluster_id}, this is {own}"
            return (Close(peer, ErrorCode.CLUSTER, reason),)
        reason = f"{self._identity.node_id} is a replica"
        following = self._route.target if self.is_connected else ""
        close = Close(peer, ErrorCode.NOT_MASTER, reason, self._epoch, following)
        known = self._state is not LinkState.STOPPED and own == hello.cluster_id
        if not (known and claims_to_be_master(hello) and hello.epoch > self._epoch):
            return (close,)
        reason = f"{hello.node_id} reigns in epoch {hello.epoch}"
        return (close, *self._left(reason, master_addr=hello.address, at_once=True))

    # --- The disk --------------------------------------------------------------------

    def stored(self, offset: Offset, now_ms: int) -> Effects:
        """The log is durable up to `offset`: say so, then apply what is committed."""
        assert offset <= self._log.received, "nothing is stored that was not received"
        self._log.durable = max(self._log.durable, offset)
        return (*self._acknowledged(now_ms), *self._applies())

    def applied(self, offset: Offset, now_ms: int) -> Effects:
        """The database holds the entries up to `offset`."""
        self._log.has_applied(offset)
        # One ack when all is applied, not one for each step: lag falls to 0 at once.
        return self._acknowledged(now_ms) if offset >= self._log.goal else ()

    def apply_failed(self, reason: str, now_ms: int) -> Effects:
        """An entry does not fit the rows here: only a snapshot mends that."""
        self._conflicts += 1
        self._wants_snapshot = True
        self.last_error = reason
        effects: list[Effect] = [Report(Level.ERROR, "apply_failed", reason)]
        if self._state in STREAMS:
            ack = WalAck(self._log.durable, self._log.applied, success=False)
            effects.append(self._say(ack, now_ms))
            effects += self._full_sync(self._log.received, now_ms)
        return tuple(effects)

    def installed(
        self, position: Position, history: EpochHistory, now_ms: int
    ) -> Effects:
        """Database and log stand at the snapshot's position: go on from there."""
        self._log.replaced(history, position)
        self._wants_snapshot = False
        self._full_syncs += 1
        return self._install_ended(now_ms, failure="")

    def install_failed(self, reason: str, now_ms: int) -> Effects:
        """The snapshot or a chunk of it was no good; everything is as it was."""
        report = Report(Level.ERROR, "install_failed", reason)
        return (report, *self._install_ended(now_ms, failure=reason))

    # --- Time and operators ----------------------------------------------------------

    def tick(self, now_ms: int) -> Effects:
        """Deadlines and heartbeats; a few times per heartbeat is enough."""
        if self._state is LinkState.CONNECTING:
            if self._deadline_ms is not None and now_ms > self._deadline_ms:
                return self._lost("the master did not answer Hello in time")
            return ()
        if self._state not in WELCOMED:
            return ()
        silent_ms = now_ms - self._heard_ms
        if silent_ms > self._dead_after_ms:
            return self._lost(f"nothing heard from the master for {silent_ms} ms")
        if self._state is LinkState.FULL_SYNC:
            return (*self._heartbeat(now_ms), *self._request(now_ms))
        if now_ms - self._streaming_since_ms >= self._settings.steady_ms:
            self._intake.steady()
        return self._heartbeat(now_ms)

    def pause(self) -> Effects:
        """Apply no more (the driver drops an Apply that waits); go on receiving."""
        self._paused = True
        self._log.goal = self._log.applied
        if self._state is LinkState.STREAMING:
            self._move(LinkState.PAUSED)
        return (Report(Level.INFO, "paused", "entries are stored, not applied"),)

    def resume(self) -> Effects:
        """Apply again, from where it stopped."""
        self._paused = False
        if self._state is LinkState.PAUSED:
            self._move(LinkState.STREAMING)
        return (Report(Level.INFO, "resumed", "entries are applied"), *self._applies())

    # --- How -------------------------------------------------------------------------

    def _answered(self, message: Message, now_ms: int) -> Effects:
        match message:
            case WalEntry():
                return self.receive_entries((message,), now_ms)
            case Error():
                return self._refused(message)
            case Welcome() if self._state is LinkState.CONNECTING:
                return self._welcomed(message, now_ms)
            case Ping() if self._state in WELCOMED:
                return self._pinged(message, now_ms)
            case Pong() if self._state in WELCOMED:
                return ()
            case SnapshotMeta() | SnapshotChunk() | SnapshotComplete() if (
                self._state is LinkState.FULL_SYNC
            ):
                return self._snapshot(message)
            case _:
                raise ProtocolError(
                    f"{type(message).__name__} came while the link is {self._state}"
                )

    def _welcomed(self, welcome: Welcome, now_ms: int) -> Effects:
        verdict = weighed(welcome, self.cluster_id, self._epoch, self._log)
        if isinstance(verdict, Refusal):
            report = Report(Level.ERROR, "master_not_accepted", verdict.message)
            return (report, *self._lost(verdict.message, verdict.code))
        self.master = welcome
        self._epoch = welcome.epoch
        self._identity = msgspec.structs.replace(
            self._identity, cluster_id=welcome.cluster_id
        )
        slower_ms = max(self._settings.heartbeat_ms, welcome.heartbeat_ms)
        self._dead_after_ms = slower_ms * self._settings.missed_heartbeats
        self._sent_ms = now_ms
        self._route.succeeded()
        if verdict.streams and not self._wants_snapshot:
            return (Adopt(welcome), *self._streaming(welcome, now_ms))
        return (Adopt(welcome), *self._full_sync(verdict.fork, now_ms))

    def _streaming(self, welcome: Welcome, now_ms: int) -> Effects:
        self._log.matched(welcome.history, welcome.current_offset)
        self._log.told(welcome.current_offset, welcome.commit_offset, now_ms)
        self._move(LinkState.PAUSED if self._paused else LinkState.STREAMING)
        self._streaming_since_ms = now_ms
        self.last_error = ""
        return (*self._acknowledged(now_ms), *self._applies())

    def _full_sync(self, fork: Offset, now_ms: int) -> Effects:
        log = self._log
        self._move(LinkState.FULL_SYNC)
        effects: list[Effect] = []
        if log.received > fork and self._exported != (fork, log.received):
            reason = f"the master's log has left this one after entry {fork}"
            effects.append(Diverged(fork, reason))
            self._exported = (fork, log.received)
        log.unmatched()
        assert self.master is not None, "a full sync follows a Welcome"
        log.told(self.master.current_offset, self.master.commit_offset, now_ms)
        return (*effects, *self._request(now_ms))

    def _request(self, now_ms: int) -> Effects:
        intake = self._intake
        if not intake.may_ask(now_ms):
            return ()
        request = RequestSnapshot(
            self._identity.node_id, intake.snapshot_id, intake.next_chunk
        )
        intake.has_asked(now_ms)
        return (self._say(request, now_ms),)

    def _snapshot(
        self, message: SnapshotMeta | SnapshotChunk | SnapshotComplete
    ) -> Effects:
        assert self.master is not None, "a full sync follows a Welcome"
        try:
            match message:
                case SnapshotMeta():
                    return (self._intake.begins(message, self.master.history),)
                case SnapshotChunk():
                    return (self._intake.chunk(message),)
                case SnapshotComplete():
                    return (self._intake.complete(message),)
        except ProtocolError:
            # Going on where it stands would fail the same way for ever.
            self._intake.forget()
            raise

    def _install_ended(self, now_ms: int, *, failure: str) -> Effects:
        snapshot_id, installing = self._intake.snapshot_id, self._intake.installing
        self._intake.forget()
        if self._state is LinkState.FULL_SYNC:
            answer = self._say(SnapshotComplete(snapshot_id, not failure), now_ms)
            reason = failure or "the snapshot is installed: connecting anew"
            return (answer, *self._left(reason, at_once=not failure))
        # The connection was lost meanwhile, and the next one waited for this.
        if self._state is LinkState.RECONNECTING and installing:
            return (self._route.after_failure() if failure else self._route.now(),)
        return ()

    def _pinged(self, ping: Ping, now_ms: int) -> Effects:
        master = self.master
        assert master is not None, "only a welcomed replica listens to pings"
        said = (ping.cluster_id, ping.epoch, ping.history_id)
        if said != (master.cluster_id, master.epoch, master.history.history_id):
            raise ProtocolError(
                f"a Ping names epoch {ping.epoch} and history {ping.history_id}, the "
                f"Welcome {master.epoch} and {master.history.history_id}"
            )
        self._log.told(ping.current_offset, ping.commit_offset, now_ms)
        pong = Pong(ping.timestamp, self._log.durable, self._log.applied)
        return (self._say(pong, now_ms), *self._applies())

    def _refused(self, error: Error) -> Effects:
        """The master closes; it may know a better one."""
        reason = f"{error.code}: {error.message}"
        report = Report(Level.WARNING, "master_refused", reason)
        points = (
            error.code in (ErrorCode.NOT_MASTER, ErrorCode.DEPOSED)
            and error.epoch >= self._epoch
            and error.master_addr != self._identity.address
        )
        address = error.master_addr if points else ""
        return (report, *self._left(reason, master_addr=address))

    def _lost(self, reason: str, code: ErrorCode | None = None) -> Effects:
        return self._left(reason, code)

    def _left(
        self,
        reason: str,
        code: ErrorCode | None = None,
        *,
        master_addr: str = "",
        at_once: bool = False,
    ) -> Effects:
        """Give the connection up and look for the next one."""
        return ()

    def _heartbeat(self, now_ms: int) -> Effects:
        """A Ping, if nothing else was said for so long."""
        if now_ms - self._sent_ms < self._settings.heartbeat_ms:
            return ()
        log = self._log
        return (
            self._say(
                Ping(now_ms, log.durable, log.commit, self._epoch, self.cluster_id),
                now_ms,
            ),
        )

    def _acknowledged(self, now_ms: int) -> Effects:
        if self._state not in STREAMS:
            return ()
        return (self._say(WalAck(self._log.durable, self._log.applied), now_ms),)

    def _applies(self) -> Effects:
        goal = self._log.to_apply
        if self._paused or goal <= self._log.goal:
            return ()
        self._log.goal = goal
        return (Apply(goal),)

    def _say(self, message: Message, now_ms: int) -> Send:
        self._sent_ms = now_ms
        return Send(MASTER, message)

    def _move(self, state: LinkState) -> None:
        if state is not self._state:
            assert state in MOVES[self._state], f"no move: {self._state} to {state}"
            self._state = state

    def _backoff(self, random: Callable[[], float]) -> Backoff:
        settings = self._settings
        return Backoff(
            first_ms=settings.retry_first_ms,
            most_ms=settings.retry_most_ms,
            random=random,
        )
