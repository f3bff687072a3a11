"""A node in the role of replica: its link to the master, and the applying thread."""

import asyncio
import random
from typing import Any, Final

import structlog

from nexus.errors import (
    NexusError,
    NoMasterError,
    ReadOnlyReplicaError,
    WrongRoleError,
)
from nexus.model.cluster import LinkState, ReplicaStats
from nexus.model.position import EpochHistory, Offset, Position
from nexus.node.follower import Follower, FollowerHooks
from nexus.node.installation import Installation
from nexus.node.parts import Parts
from nexus.node.publisher import now_ms
from nexus.node.report import DutyReport
from nexus.node.rescue import Rescue
from nexus.node.rewinding import take_back
from nexus.node.startup import log_history
from nexus.node.worker import ApplyHooks, ApplyWorker
from nexus.protocol.messages import Error, Hello, Plan
from nexus.replication.effects import (
    Adopt,
    Close,
    Diverged,
    Install,
    Peer,
    ReceiveSnapshot,
    Rewind,
    StoreChunk,
)
from nexus.replication.replica import Replica
from nexus.replication.settings import ReplicaSettings, Standing

_VISITOR: Final = Peer("visitor")

log = structlog.get_logger(__name__)


class Following:
    """One time of following; `begin` it, and `leave` it for good."""

    def __init__(self, parts: Parts, machine: Replica) -> None:
        self.machine = machine
        self._parts = parts
        self._worker = ApplyWorker(
            parts.database,
            parts.log,
            ApplyHooks(
                applied=parts.on_loop(self._applied),
                conflicted=parts.on_loop(self._conflicted),
                failed=parts.on_loop(parts.failed),
                short=parts.on_loop(self._short),
                fingerprint=parts.verifications.pin,
            ),
        )
        self._rescue = Rescue(parts)
        self._installation = Installation(parts, self._worker, self._rescue)
        self._follower = Follower(
            machine,
            parts.log,
            self._worker,
            FollowerHooks(
                self._adopt,
                self._export,
                self._rewind,
                self._receive_snapshot,
                self._store_chunk,
                self._install,
                parts.failed,
            ),
            secret=parts.config.cluster_secret,
            timeout_s=parts.config.replication.connect_timeout_ms / 1000,
        )

    @classmethod
    async def begin(cls, parts: Parts, addresses: tuple[str, ...]) -> "Following":
        """Look for the master at these addresses, the first one first."""
        history = await asyncio.to_thread(log_history, parts.standing)
        machine = _machine(parts, addresses, history)
        broken_off = await asyncio.to_thread(parts.receiver.pending)
        if broken_off is not None:
            machine.resume_snapshot(*broken_off)
        following = cls(parts, machine)
        following._worker.start()
        following._follower.start()
        return following

    async def leave(self) -> None:
        """Leave the master and end the thread; what was acknowledged is durable."""
        await self._follower.stop()
        await asyncio.to_thread(self._worker.stop)

    def report(self) -> DutyReport:
        """How this role fares."""
        machine, now = self.machine, now_ms()
        master = machine.master
        return DutyReport(
            connected=machine.is_connected,
            commit_offset=machine.commit_offset,
            lag=machine.lag(),
            lag_seconds=machine.lag_seconds(now),
            master_id=master.master_id if master else "",
            master_url=self.master_url,
            state=machine.state,
            paused=machine.paused,
            last_error=self._follower.last_error,
        )

    def stats(self) -> ReplicaStats:
        """GET /replication/replica/stats."""
        received = self._follower.bytes_received
        return self.machine.stats(now_ms(), bytes_received=received)

    @property
    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        return self.machine.history

    @property
    def master_url(self) -> str:
        """Where the master's API is; empty while none is known."""
        master = self.machine.master
        return master.http_url if master else ""

    def ready(self, max_lag: int | None) -> str:
        """Why this replica should not be read from; empty if it may."""
        if not self._parts.database.stands:
            return "this replica has no database yet"
        state, lag = self.machine.state, self.machine.lag()
        if state is not LinkState.STREAMING:
            return f"this replica is {state}, not streaming"
        if max_lag is not None and lag > max_lag:
            return f"this replica lags {lag} entries, more than {max_lag}"
        return ""

    def write_refusal(self) -> NexusError:
        """The error of a write that came here."""
        if not self.master_url:
            return NoMasterError(
                "this node is a replica and knows no master just now; nothing "
                "happened, try again soon"
            )
        return ReadOnlyReplicaError(
            f"this node is a replica; write to its master at {self.master_url}",
            master_url=self.master_url,
        )

    def require_promotable(self, *, force: bool) -> None:
        """Raise WrongRoleError where a promotion would lose what it need not."""
        if not self._parts.state.cluster_id:
            raise WrongRoleError(
                "this replica has never met its master, so it holds nothing of the "
                "cluster; promote one that does"
            )
        if self.machine.is_connected and not force:
            raise WrongRoleError(
                "the master is alive and connected; stop it first, or say force: "
                "its entries that this replica lacks will be taken back"
            )
        if not self._parts.database.stands:
            raise WrongRoleError(
                "this replica has no database yet, so it holds nothing of the cluster; "
                "promote one that does"
            )

    def pause(self) -> None:
        """Apply no more."""
        self._follower.take(self.machine.pause())
        self._worker.hold()

    def resume(self) -> None:
        """Undo `pause`."""
        self._follower.take(self.machine.resume())

    def tick(self) -> None:
        """Deadlines, heartbeats, reconnection."""
        self._follower.tick()

    async def retain(self) -> None:
        """Drop what retention no longer keeps."""
        try:
            await self._drop_old()
        except NexusError as error:
            # A full disk, say: the next tick tries again.
            log.warning("log_not_shortened", reason=str(error))

    async def _drop_old(self) -> None:
        database, wal = self._parts.database, self._parts.log
        # Only what the database file holds, synced, may leave the log.
        await self._installation.on_worker(database.checkpoint)
        keep_from = Offset(database.checkpointed_offset + 1)
        if await self._follower.retain(keep_from):
            first = wal.first_offset
            while await self._installation.on_worker(
                lambda: database.forget_answers_before(first)
            ):
                pass

    def visited(self, hello: Hello) -> Error | None:
        """A Hello at a replica's door; an announcement may give it a new master."""
        answer = None
        for effect in self.machine.hello(_VISITOR, hello):
            if isinstance(effect, Close):
                answer = Error(
                    effect.code, effect.message, effect.epoch, effect.master_addr
                )
            else:
                self._follower.take((effect,))
        return answer

    # --- What the machine asks for ------------------------------------------------

    async def _adopt(self, effect: Adopt) -> None:
        welcome = effect.welcome
        await asyncio.to_thread(
            self._parts.standing.catalog.update,
            cluster_id=welcome.cluster_id,
            epoch=max(welcome.epoch, self._parts.state.epoch),
            master_addr=self.machine.master_addr,
        )
        database = self._parts.database
        if welcome.plan is not Plan.FULL_SYNC and not database.stands:
            await self._installation.on_worker(
                lambda: database.open_writer(
                    page_size=welcome.page_size, encoding=welcome.encoding
                )
            )

    async def _export(self, effect: Diverged) -> None:
        await self._rescue.rows(self.history, effect)

    async def _rewind(self, effect: Rewind) -> None:
        reason = await take_back(self._parts, self._worker, effect.to)
        if reason:
            self._follower.last_error = reason
            self._follower.take(self.machine.rewind_failed(reason, now_ms()))
        else:
            self._rescue.done()
            self._follower.take(self.machine.rewound(now_ms()))

    async def _receive_snapshot(self, effect: ReceiveSnapshot) -> None:
        begin = self._parts.receiver.begin
        try:
            first = await asyncio.to_thread(begin, effect.meta, effect.next_chunk)
        except NexusError as error:
            self._follower.install_failed(str(error))
            return
        if first != effect.next_chunk:
            self._follower.install_failed(
                f"snapshot {effect.meta.snapshot_id} cannot go on at chunk "
                f"{effect.next_chunk}: less of it is on the disk; it begins anew"
            )

    async def _store_chunk(self, effect: StoreChunk) -> None:
        try:
            await asyncio.to_thread(self._parts.receiver.add, effect.chunk)
        except NexusError as error:
            self._follower.install_failed(str(error))

    async def _install(self, _: Install) -> None:
        try:
            position, history = await self._installation.run(self._follower.waits)
        except NexusError as error:
            if self._parts.state.intent is None:
                self._follower.install_failed(str(error))
            else:  # database and log differ: the next start mends that
                self._parts.failed(error)
        else:
            self._follower.installed(position, history)
            self._parts.milestones.passed(position.offset)

    def _applied(self, position: Position) -> None:
        self._follower.applied(position)
        self._parts.milestones.passed(position.offset)

    def _conflicted(self, error: Any) -> None:
        self._follower.conflicted(error)

    def _short(self, error: Any) -> None:
        self._follower.short(error)


def _machine(
    parts: Parts, addresses: tuple[str, ...], history: EpochHistory
) -> Replica:
    settings = parts.config.replication
    return Replica(
        parts.identity(),
        ReplicaSettings(
            addresses=addresses,
            heartbeat_ms=settings.heartbeat_ms,
            missed_heartbeats=settings.missed_heartbeats,
            connect_timeout_ms=settings.connect_timeout_ms,
        ),
        Standing(
            history=history,
            durable_offset=parts.log.durable_offset,
            applied_offset=parts.database.position.offset,
            epoch=parts.state.epoch,
        ),
        random.random,
    )
