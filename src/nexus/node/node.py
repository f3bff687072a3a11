"""Builds the parts of a node, changes its role, starts and stops it in order."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
import structlog

from nexus.config import Config
from nexus.errors import (
    NexusError,
    NoMasterError,
    NotFoundError,
    ReadOnlyReplicaError,
    RequestError,
    WritesStoppedError,
    WrongRoleError,
)
from nexus.model.cluster import (
    LinkState,
    MasterStats,
    NodeStatus,
    ReplicaStats,
    ReplicaStatus,
    Role,
)
from nexus.model.operation import Fingerprint
from nexus.model.position import EpochHistory, Offset, Position, Reign
from nexus.node.connection import Connection
from nexus.node.execution import Executor
from nexus.node.follower import Follower, FollowerHooks
from nexus.node.fullsync import SnapshotSender, install_snapshot
from nexus.node.handshake import introduce
from nexus.node.jobs import Job
from nexus.node.publisher import Publisher, PublisherHooks, now_ms
from nexus.node.requests import SqlRequest, SqlResponse
from nexus.node.startup import (
    PROMOTION_STEP,
    Standing,
    effective_role,
    log_history,
    new_history_id,
    next_epoch,
    open_standing,
    redo,
)
from nexus.node.transactions import TransactionManager
from nexus.node.verification import Verifications
from nexus.node.worker import ApplyHooks, ApplyWorker, errand
from nexus.node.writer import Hooks
from nexus.protocol.messages import Error, ErrorCode, Hello
from nexus.replication.announcement import answered
from nexus.replication.effects import (
    Adopt,
    Close,
    Diverged,
    Install,
    Peer,
    ReceiveSnapshot,
    SendSnapshot,
    StepDown,
    StopWrites,
    StoreChunk,
)
from nexus.replication.master import Master
from nexus.replication.replica import Replica
from nexus.replication.settings import (
    Identity,
    LogExtent,
    MasterSettings,
    ReplicaSettings,
)
from nexus.replication.settings import Standing as LogStanding
from nexus.storage.database import Database
from nexus.storage.diverged import DivergedStore
from nexus.storage.fingerprint import Fingerprints
from nexus.storage.snapshot import (
    SnapshotInfo,
    SnapshotReceiver,
    SnapshotSettings,
    SnapshotStore,
)

TICKS_PER_HEARTBEAT: Final = 4

_VISITOR: Final = Peer("visitor")

log = structlog.get_logger(__name__)


class Node:
    """One data directory with its database, log, catalog and role.

    All coroutines and status calls belong to the loop that called `start`; `writer`
    and `database` may be used from any thread.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._standing: Standing | None = None
        self._role = config.replication.role
        self._manager: TransactionManager | None = None
        self._worker: ApplyWorker | None = None
        self._follower: Follower | None = None
        self._failure = ""
        self._stopping = False
        self._changing = asyncio.Lock()
        self._background: set[asyncio.Task[Any]] = set()
        self._hashing = ThreadPoolExecutor(2, thread_name_prefix="nexus-hash")
        self._applied_events: list[tuple[Offset, asyncio.Future[None]]] = []

    # --- Start and stop ---------------------------------------------------------------

    async def start(self) -> None:
        """Open the data directory and take up the role.

        Raises StorageError or ConfigurationError; nothing is left running then.
        """
        self._loop = asyncio.get_running_loop()
        standing = await asyncio.to_thread(open_standing, self.config)
        self._standing = standing
        self.snapshots = SnapshotStore(
            standing.directory.snapshots,
            SnapshotSettings(
                compression_level=self.config.snapshot.compression_level,
                max_size=self.config.snapshot.max_size,
                chunk_size=self.config.snapshot.chunk_size,
            ),
        )
        self.diverged = DivergedStore(standing.directory.diverged)
        self._receiver = SnapshotReceiver(standing.directory.snapshots)
        self._sender = SnapshotSender(self.snapshots, standing.database, standing.log)
        self._verifications = Verifications(standing.database, self._hashing)
        self._executor = Executor(standing.database)
        self._publisher = Publisher(
            standing.log,
            PublisherHooks(
                self._visited, self._step_down, self._stop_writes, self._send_snapshot
            ),
            secret=self.config.cluster_secret,
            timeout_s=self.config.replication.connect_timeout_ms / 1000,
        )
        try:
            await self._publisher.start(self.config.replication.bind_addr)
            self._role = effective_role(self.config, standing.catalog)
            if self._role is Role.REPLICA:
                await self._follow(self._master_address())
            else:
                await self._reign(self._role, "start")
        except BaseException:
            await self.stop()
            raise
        self._spawn(self._tick())

    async def stop(self) -> None:
        """Stop in order: nothing is acknowledged that is not durable."""
        if self._standing is None or self._stopping:
            return
        self._stopping = True
        for task in list(self._background):
            task.cancel()
        await self._publisher.stop()
        await self._leave_role()
        standing, self._standing = self._standing, None
        await asyncio.to_thread(self._hashing.shutdown)
        await asyncio.to_thread(standing.close)

    # --- What others ask --------------------------------------------------------------

    @property
    def node_id(self) -> str:
        """This node's id, the same for ever."""
        return self._parts.catalog.state.node_id

    @property
    def database(self) -> Database:
        """The node's database, for reads."""
        return self._parts.database

    @property
    def idle_limit_s(self) -> float:
        """How long an interactive transaction may stay idle."""
        return self.config.limits.idle_transaction_ms / 1000

    def writer(self) -> TransactionManager:
        """The manager of writes; raises ReadOnlyReplicaError on a replica."""
        if self._manager is None:
            url = self._master_url()
            if not url:
                raise NoMasterError(
                    "this node is a replica and knows no master just now; nothing "
                    "happened, try again soon"
                )
            raise ReadOnlyReplicaError(
                f"this node is a replica; write to its master at {url}", master_url=url
            )
        return self._manager

    def status(self) -> NodeStatus:
        """GET /replication/status."""
        parts, follower, machine = self._parts, self._follower, self._publisher.machine
        now = now_ms()
        applied = parts.database.position.offset
        master = follower.machine.master if follower else None
        replicas = machine.replicas(now) if machine else ()
        commit = (
            follower.machine.commit_offset if follower else parts.log.durable_offset
        )
        return NodeStatus(
            role=self._role,
            running=not self._stopping and not self._failure,
            mode=self.config.replication.mode,
            connected=follower.machine.is_connected if follower else bool(replicas),
            node_id=self.node_id,
            cluster_id=parts.catalog.state.cluster_id,
            epoch=parts.catalog.state.epoch,
            wal_offset=parts.log.last_offset,
            durable_offset=parts.log.durable_offset,
            applied_offset=applied,
            commit_offset=commit,
            lag=follower.machine.lag() if follower else 0,
            lag_seconds=follower.machine.lag_seconds(now) if follower else 0.0,
            replica_count=sum(r.state is not LinkState.RECONNECTING for r in replicas),
            master_id=(master.master_id if master else "")
            if follower
            else self.node_id,
            master_url=self._master_url(),
            state=follower.machine.state if follower else LinkState.STREAMING,
            paused=follower.machine.paused
            if follower
            else bool(machine and machine.paused),
            auto_failover=self.config.replication.auto_failover,
            last_error=self._failure or (follower.last_error if follower else ""),
        )

    def master_stats(self) -> MasterStats:
        """GET /replication/master/stats; WrongRoleError on a replica."""
        machine = self._publisher.machine
        if machine is None:
            raise WrongRoleError(self._who_can("this node is no master"))
        return msgspec.structs.replace(
            machine.stats(now_ms()), log_size=self._parts.log.entry_count
        )

    def replica_stats(self) -> ReplicaStats:
        """GET /replication/replica/stats; WrongRoleError on a master."""
        if self._follower is None:
            raise WrongRoleError("this node is no replica; ask one of its replicas")
        return self._follower.machine.stats(
            now_ms(), bytes_received=self._follower.bytes_received
        )

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """GET /replication/replicas; WrongRoleError on a replica."""
        machine = self._publisher.machine
        if machine is None:
            raise WrongRoleError(self._who_can("this node is no master"))
        return machine.replicas(now_ms())

    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        machine = self._publisher.machine
        if machine is not None:
            return machine.history
        return self._follower.machine.history if self._follower else EpochHistory()

    def ready(self, max_lag: int | None) -> tuple[bool, str]:
        """Whether this node can serve; where not, why."""
        if self._failure:
            return False, self._failure
        if self._follower is None:
            return True, ""
        state, lag = self._follower.machine.state, self._follower.machine.lag()
        if state is not LinkState.STREAMING:
            return False, f"this replica is {state}, not streaming"
        if max_lag is not None and lag > max_lag:
            return False, f"this replica lags {lag} entries, more than {max_lag}"
        return True, ""

    async def execute(self, request: SqlRequest) -> SqlResponse:
        """Run the request's statements; ReadOnlyReplicaError for a replica's write."""
        if request.consistency == "strong":
            raise RequestError("strong reads are not available in this version")
        if request.min_offset is not None:
            try:
                await self.wait_applied(
                    Offset(request.min_offset), timeout_s=self.idle_limit_s
                )
            except TimeoutError:
                raise NoMasterError(
                    f"this node has not applied entry {request.min_offset} in time; "
                    "ask another one, or try again"
                ) from None
        epoch = self._parts.catalog.state.epoch
        return await self._executor.execute(request, self.writer, epoch)

    async def wait_applied(self, offset: Offset, *, timeout_s: float) -> None:
        """Return once the database holds `offset`; TimeoutError if not by then."""
        if self._parts.database.position.offset >= offset:
            return
        reached: asyncio.Future[None] = self._loop.create_future()
        self._applied_events.append((offset, reached))
        async with asyncio.timeout(timeout_s):
            await reached

    async def make_snapshot(self) -> SnapshotInfo:
        """A new snapshot, made while writes go on; durable on return."""
        return await self._sender.make(self._parts.catalog.state.cluster_id)

    async def begin_verify(self) -> Offset:
        """Have every node hash its tables at the offset that is returned."""
        if self._manager is None:
            raise WrongRoleError(self._who_can("a verification begins at the master"))
        return await self._manager.mark(Fingerprint(uuid.uuid4().hex[:8]))

    async def verification(self, offset: Offset) -> Fingerprints | None:
        """The hashes at a mark; None while they are made or the mark is to come."""
        try:
            return self._verifications.result(offset)
        except NotFoundError:
            if offset > self._parts.database.position.offset:
                return None
            raise

    # --- What operators order ---------------------------------------------------------

    def pause(self, replica: str | None) -> None:
        """A replica applies no more; a master streams no more, to one or to all."""
        machine = self._publisher.machine
        if self._follower is not None:
            self._follower.take(self._follower.machine.pause())
            if self._worker is not None:
                self._worker.hold()
        elif machine is not None:
            self._publisher.perform(machine.pause(replica or None))  # type: ignore[arg-type]  # a NodeId by name

    def resume(self, replica: str | None) -> None:
        """Undo `pause`."""
        machine = self._publisher.machine
        if self._follower is not None:
            self._follower.take(self._follower.machine.resume())
        elif machine is not None:
            effects = machine.resume(replica or None, now_ms())  # type: ignore[arg-type]  # a NodeId by name
            self._publisher.perform(effects)

    async def promote(self, *, force: bool) -> NodeStatus:
        """Make this replica the master by raising the epoch.

        Without `force` the old master must be gone: its entries that this node has
        not received would be lost (they are kept on it, under `diverged/`).
        """
        async with self._changing:
            if self._follower is None:
                raise WrongRoleError("this node is the master already")
            if self._follower.machine.is_connected and not force:
                raise WrongRoleError(
                    "the master is alive and connected; stop it first, or say force: "
                    "its entries that this replica lacks will be taken back"
                )
            former = self._master_address()
            await self._leave_role()
            await self._reign(Role.MASTER, "force" if force else "promote")
            self._spawn(self._announce(former))
        return self.status()

    async def start_replication(
        self, role: Role, master_addr: str | None
    ) -> NodeStatus:
        """Take a role at run time; a replica needs the master's address."""
        async with self._changing:
            if role is Role.REPLICA and not master_addr:
                raise RequestError("a replica needs master_addr")
            await self._publisher.retire("this node changes its role")
            await self._leave_role()
            if role is Role.REPLICA:
                await self._follow(str(master_addr))
            else:
                await self._reign(role, "promote")
        return self.status()

    async def stop_replication(self) -> NodeStatus:
        """Become a standalone node that takes writes for itself."""
        return await self.start_replication(Role.STANDALONE, None)

    # --- Roles ------------------------------------------------------------------------

    async def _reign(self, role: Role, why: str) -> None:
        """Begin a reign of this node: a new epoch and history, durable before use."""
        parts = self._parts
        await asyncio.to_thread(redo, parts)
        history = parts.database.history()
        reign = Reign(
            next_epoch(
                parts.catalog, history, step=1 if why == "start" else PROMOTION_STEP
            ),
            new_history_id(),
            parts.catalog.state.node_id,
            Offset(parts.log.last_offset + 1),
            time.time_ns() // 1000,
            why,
        )
        parts.catalog.update(
            role=role,
            epoch=reign.epoch,
            history_id=reign.history_id,
            cluster_id=parts.catalog.state.cluster_id or uuid.uuid4().hex[:16],
            master_addr="",
        )
        self._role = role
        machine = Master(
            self._identity(),
            MasterSettings(
                heartbeat_ms=self.config.replication.heartbeat_ms,
                missed_heartbeats=self.config.replication.missed_heartbeats,
                max_transfers=self.config.snapshot.max_transfers,
            ),
            history.begun(reign),
            LogExtent(parts.log.first_offset, parts.log.durable_offset),
            now_ms(),
        )
        manager = TransactionManager(
            parts.database,
            parts.log,
            Hooks(
                stored=self._from_thread(self._publisher.stored),
                applied=self._from_thread(self._applied),
                failed=self._from_thread(self._failed),
                fingerprint=self._verifications.pin,
                durable_on=machine.durable_on,
            ),
            limit_bytes=self.config.limits.transaction_bytes,
        )
        self._publisher.reign(machine)
        mode = self.config.replication.mode
        await asyncio.to_thread(lambda: manager.start(reign, mode=mode))
        self._manager = manager
        log.info("reign_began", epoch=reign.epoch, why=why, offset=reign.first_offset)

    async def _follow(self, master_addr: str) -> None:
        """Become a replica of the master at this address."""
        parts = self._parts
        parts.catalog.update(role=Role.REPLICA, master_addr=master_addr)
        self._role = Role.REPLICA
        worker = ApplyWorker(
            parts.database,
            parts.log,
            ApplyHooks(
                applied=self._from_thread(self._replica_applied),
                conflicted=self._from_thread(self._conflicted),
                failed=self._from_thread(self._failed),
                short=self._from_thread(self._short),
                fingerprint=self._verifications.pin,
            ),
        )
        worker.start()
        settings = self.config.replication
        machine = Replica(
            self._identity(),
            ReplicaSettings(
                addresses=(master_addr,),
                heartbeat_ms=settings.heartbeat_ms,
                missed_heartbeats=settings.missed_heartbeats,
                connect_timeout_ms=settings.connect_timeout_ms,
            ),
            LogStanding(
                history=await asyncio.to_thread(log_history, parts),
                durable_offset=parts.log.durable_offset,
                applied_offset=parts.database.position.offset,
                epoch=parts.catalog.state.epoch,
            ),
            random.random,
        )
        self._worker = worker
        self._follower = Follower(
            machine,
            parts.log,
            worker,
            FollowerHooks(
                self._adopt,
                self._export,
                self._receive_snapshot,
                self._store_chunk,
                self._install,
                self._failed,
            ),
            secret=self.config.cluster_secret,
            timeout_s=settings.connect_timeout_ms / 1000,
        )
        self._follower.start()

    async def _leave_role(self) -> None:
        """Stop writing or following; the database has no owner afterwards."""
        manager, self._manager = self._manager, None
        if manager is not None:
            await asyncio.to_thread(manager.stop)
        follower, self._follower = self._follower, None
        if follower is not None:
            await follower.stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.to_thread(worker.stop)

    async def _announce(self, former: str) -> None:
        """Tell the former master of this reign, until it answers or it ends."""
        secret, period_s = self.config.cluster_secret, 1.0
        while machine := self._publisher.machine:
            try:
                connection = await Connection.open(former, timeout_s=period_s)
                try:
                    answer = await introduce(
                        connection, machine.announcement(), secret, timeout_s=period_s
                    )
                finally:
                    await connection.close()
            except (OSError, TimeoutError, NexusError):
                await asyncio.sleep(period_s)
                continue
            self._publisher.perform(answered(answer, machine.history))
            return

    async def _depose(self, order: StepDown) -> None:
        """A higher epoch was met: take no more writes, follow its master."""
        async with self._changing:
            log.warning("stepping_down", epoch=order.epoch, reason=order.reason)
            self._parts.catalog.update(epoch=order.epoch)
            await self._publisher.retire(order.reason)
            await self._leave_role()
            await self._follow(order.master_addr or self._master_address())

    # --- Called by the drivers --------------------------------------------------------

    def _visited(self, hello: Hello) -> Error:
        """A replica answers; an announcement may make it follow a new master."""
        state = self._parts.catalog.state
        answer = Error(
            ErrorCode.NOT_MASTER,
            "this node is no master just now",
            state.epoch,
            state.master_addr,
        )
        if self._follower is not None:
            for effect in self._follower.machine.hello(_VISITOR, hello):
                if isinstance(effect, Close):
                    answer = Error(
                        effect.code, effect.message, effect.epoch, effect.master_addr
                    )
                else:
                    self._follower.take((effect,))
        return answer

    def _step_down(self, order: StepDown) -> None:
        if self._manager is not None:
            url = order.master_addr
            self._manager.refuse_writes(
                lambda: NoMasterError(
                    f"this node was deposed by epoch {order.epoch}; its master is at "
                    f"{url or 'an unknown address'}: nothing happened, try again soon"
                )
            )
        self._spawn(self._depose(order))

    def _stop_writes(self, order: StopWrites) -> None:
        self._failure = order.reason
        if self._manager is not None:
            self._manager.refuse_writes(lambda: WritesStoppedError(order.reason))

    async def _send_snapshot(
        self, connection: Connection, order: SendSnapshot, machine: Master
    ) -> None:
        cluster_id = self._parts.catalog.state.cluster_id
        await self._sender.send(
            connection, order, machine, self._publisher.perform, cluster_id
        )

    async def _adopt(self, effect: Adopt) -> None:
        welcome = effect.welcome
        await asyncio.to_thread(
            self._parts.catalog.update,
            cluster_id=welcome.cluster_id,
            epoch=max(welcome.epoch, self._parts.catalog.state.epoch),
            master_addr=self._follower.machine.master_addr if self._follower else "",
        )

    async def _export(self, effect: Diverged) -> None:
        parts = self._parts

        def export() -> None:
            start = Offset(max(effect.after + 1, parts.log.first_offset))
            cursor = parts.log.cursor(start)
            try:
                records = []
                while cursor.offset <= parts.log.last_offset:
                    records += cursor.read(Offset(parts.log.last_offset + 1), 1 << 20)
                made = self.diverged.export(
                    records, self.history(), after=effect.after, reason=effect.reason
                )
            finally:
                cursor.close()
            log.warning("diverged_kept", id=made.id, entries=made.entries)

        await asyncio.to_thread(export)

    async def _receive_snapshot(self, effect: ReceiveSnapshot) -> None:
        await asyncio.to_thread(self._receiver.begin, effect.meta, effect.next_chunk)

    async def _store_chunk(self, effect: StoreChunk) -> None:
        try:
            await asyncio.to_thread(self._receiver.add, effect.chunk)
        except NexusError as error:
            assert self._follower is not None, "only a follower receives chunks"
            self._follower.install_failed(str(error))

    async def _install(self, _: Install) -> None:
        parts, worker, follower = self._parts, self._worker, self._follower
        assert worker is not None, "only a replica installs"
        assert follower is not None, "only a replica installs"

        def install() -> Position:
            position = install_snapshot(
                self._receiver,
                parts.database,
                parts.log,
                parts.catalog,
                work=parts.directory.snapshots / "installing",
                max_size=self.config.snapshot.max_size,
            )
            worker.restart()
            return position

        job: Job = errand(install, self._loop)
        worker.run_soon(job)
        assert job.waiter is not None, "a job of an event loop has a waiter"
        try:
            position: Position = await job.waiter
        except NexusError as error:
            follower.install_failed(str(error))
        else:
            follower.installed(position)
            self._applied(position.offset)

    def _replica_applied(self, position: Position) -> None:
        if self._follower is not None:
            self._follower.applied(position)
        self._applied(position.offset)

    def _conflicted(self, error: Any) -> None:
        if self._follower is not None:
            self._follower.conflicted(error)

    def _short(self, error: NexusError) -> None:
        log.error("disk_full", reason=str(error))
        if self._follower is not None:
            self._follower.last_error = str(error)

    def _applied(self, offset: Offset) -> None:
        waiting, self._applied_events = self._applied_events, []
        for wanted, reached in waiting:
            if wanted > offset:
                self._applied_events.append((wanted, reached))
            elif not reached.done():
                reached.set_result(None)

    def _failed(self, error: BaseException) -> None:
        if not self._stopping:
            self._failure = f"this node has failed: {error}"
            log.error("node_failed", reason=str(error), kind=type(error).__name__)

    # --- Helpers ----------------------------------------------------------------------

    @property
    def _parts(self) -> Standing:
        if self._standing is None:
            raise WritesStoppedError("this node is not running; start it first")
        return self._standing

    def _identity(self) -> Identity:
        parts = self._parts
        return Identity(
            node_id=parts.catalog.state.node_id,
            cluster_id=parts.catalog.state.cluster_id,
            address=self.config.replication.bind_addr,
            http_url=f"http://{self.config.http_addr}",
            page_size=parts.database.page_size,
            encoding=parts.database.encoding,
        )

    def _master_address(self) -> str:
        """Where the master was last known: what a role change kept, else the file."""
        kept = self._parts.catalog.state.master_addr
        configured = self.config.replication.master_addr
        if self.config.replication.role is Role.REPLICA and configured:
            return configured
        return kept or configured or self.config.replication.bind_addr

    def _master_url(self) -> str:
        if self._follower is None:
            return f"http://{self.config.http_addr}"
        master = self._follower.machine.master
        return master.http_url if master else ""

    def _who_can(self, why: str) -> str:
        url = self._master_url()
        return f"{why}; ask the master{f' at {url}' if url else ''}"

    def _from_thread(self, call: Callable[[Any], None]) -> Callable[[Any], None]:
        """The same call, to be made from another thread, once, on the loop."""

        def soon(value: Any) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(call, value)

        return soon

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _tick(self) -> None:
        period_s = self.config.replication.heartbeat_ms / 1000 / TICKS_PER_HEARTBEAT
        while True:
            await asyncio.sleep(min(period_s, 1.0))
            self._publisher.tick()
            if self._follower is not None:
                self._follower.tick()
            try:
                await self._retain()
            except NexusError as error:
                # The heartbeat goes on: a full disk ends no connection.
                log.warning("log_not_shortened", reason=str(error))

    async def _retain(self) -> None:
        """Drop what retention no longer keeps, on the thread that appends."""
        parts, machine, manager = self._parts, self._publisher.machine, self._manager
        if parts.log.entry_count <= self.config.replication.max_log_size:
            return
        if machine is not None and manager is not None:
            floor = machine.retention_floor()

            def retain() -> int:
                # Only what the database file holds, synced, may leave the log.
                parts.database.checkpoint()
                synced = Offset(parts.database.checkpointed_offset + 1)
                return parts.log.retain(min(floor, synced))

            if await manager.run(retain):
                machine.retained(parts.log.first_offset)
        elif self._follower is not None:
            await self._follower.retain(Offset(parts.database.checkpointed_offset + 1))
