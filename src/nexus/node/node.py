"""Builds the parts of a node, changes its role, starts and stops it in order."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from nexus.config import Config
from nexus.errors import (
    NodeStoppedError,
    NoMasterError,
    RequestError,
    WrongRoleError,
)
from nexus.model.cluster import (
    MasterStats,
    NodeStatus,
    ReplicaStats,
    ReplicaStatus,
    Role,
)
from nexus.model.position import EpochHistory, Offset
from nexus.node.connection import Connection
from nexus.node.following import Following
from nexus.node.parts import Parts, open_parts
from nexus.node.publisher import PublisherHooks, now_ms
from nexus.node.pulse import keep_time
from nexus.node.reigning import Reigning
from nexus.node.report import DutyReport, node_status
from nexus.node.requests import SqlRequest, SqlResponse
from nexus.node.startup import effective_role
from nexus.node.transactions import TransactionManager
from nexus.protocol.messages import Error, ErrorCode, Hello
from nexus.replication.effects import SendSnapshot, StepDown, StopWrites
from nexus.storage.database import Database
from nexus.storage.fingerprint import Fingerprints
from nexus.storage.snapshot import SnapshotInfo

log = structlog.get_logger(__name__)


class Node:
    """One data directory with its database, log, catalog and role.

    All coroutines and status calls belong to the loop that called `start`; `writer`
    and `database` may be used from any thread.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.http_addr = config.http_addr
        """Where its API listens; say so before `start` if the system chose the port."""
        self._parts_if_open: Parts | None = None
        self._role = config.replication.role
        self._duty: Reigning | Following | None = None
        self._failure = ""
        self._stopping = False
        self._changing = asyncio.Lock()
        self._background: set[asyncio.Task[Any]] = set()

    # --- Start and stop ---------------------------------------------------------------

    async def start(self) -> None:
        """Open the data directory and take up the role; once.

        Raises StorageError, ConfigurationError, or NodeStoppedError after a `stop`;
        nothing is left running then.
        """
        async with self._changing:
            if self._stopping:
                raise NodeStoppedError("this node was stopped; make a new one")
            await self._open()
            self._spawn(keep_time(self._parts, lambda: self._duty))

    async def stop(self) -> None:
        """Stop in order: nothing is acknowledged that is not durable.

        A start or a change of role that is under way comes to its end before.
        """
        self._stopping = True
        async with self._changing:
            await self._close()

    async def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        hooks = PublisherHooks(
            self._visited,
            self._committed,
            self._step_down,
            self._stop_writes,
            self._send_snapshot,
        )
        parts = await open_parts(self.config, self.http_addr, hooks, self._failed)
        self._parts_if_open = parts
        self.snapshots, self.diverged = parts.snapshots, parts.diverged
        try:
            role = effective_role(self.config, parts.standing.catalog)
            await self._take_up(role, "start", parts.master_addresses())
        except BaseException:
            self._stopping = True
            await self._close()
            raise

    async def _close(self) -> None:
        parts = self._parts_if_open
        if parts is None:
            return
        for task in list(self._background):
            task.cancel()
        parts.snapshots.close()
        await parts.publisher.stop()
        await parts.sender.close()
        await self._leave_duty()
        self._parts_if_open = None
        await asyncio.to_thread(parts.close)

    # --- What others ask --------------------------------------------------------------

    @property
    def node_id(self) -> str:
        """This node's id, the same for ever."""
        return self._parts.state.node_id

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
        duty = self._duty
        if isinstance(duty, Reigning):
            return duty.manager
        if duty is not None:
            raise duty.write_refusal()
        raise NoMasterError(f"nothing happened: {self._trouble}; try again soon")

    def status(self) -> NodeStatus:
        """GET /replication/status."""
        duty = self._duty.report() if self._duty else DutyReport()
        return node_status(self._parts, self._role, duty, self._trouble)

    def master_stats(self) -> MasterStats:
        """GET /replication/master/stats; WrongRoleError on a replica."""
        return self._reigning().stats()

    def replica_stats(self) -> ReplicaStats:
        """GET /replication/replica/stats; WrongRoleError on a master."""
        if not isinstance(self._duty, Following):
            raise WrongRoleError("this node is no replica; ask one of its replicas")
        return self._duty.stats()

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """GET /replication/replicas; WrongRoleError on a replica."""
        return self._reigning().machine.replicas(now_ms())

    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        return self._duty.history if self._duty else EpochHistory()

    def ready(self, max_lag: int | None) -> tuple[bool, str]:
        """Whether this node can serve; where not, why."""
        reason = self._trouble
        if not reason and isinstance(self._duty, Following):
            reason = self._duty.ready(max_lag)
        return not reason, reason

    async def execute(self, request: SqlRequest) -> SqlResponse:
        """Run the request's statements; ReadOnlyReplicaError for a replica's write."""
        parts = self._parts
        return await parts.executor.execute(request, self.writer, parts.state.epoch)

    async def wait_applied(self, offset: Offset, *, timeout_s: float) -> None:
        """Return once the database holds `offset`; TimeoutError if not by then."""
        await self._parts.milestones.wait(offset, timeout_s=timeout_s)

    async def make_snapshot(self) -> SnapshotInfo:
        """A new snapshot, made while writes go on; durable on return."""
        return await self._parts.sender.make(self._parts.state.cluster_id)

    async def begin_verify(self) -> Offset:
        """Have every node hash its tables at the offset that is returned."""
        return await self._reigning("a verification begins at the master").mark()

    async def verification(self, offset: Offset) -> Fingerprints | None:
        """The hashes at a mark; None while they are made or the mark is to come."""
        return self._parts.verifications.result(offset)

    # --- What operators order ---------------------------------------------------------

    def pause(self, replica: str | None) -> None:
        """A replica applies no more; a master streams no more, to one or to all."""
        if isinstance(self._duty, Following) and replica in {None, self.node_id}:
            self._duty.pause()
        else:
            self._reigning("another's stream is the master's").pause(replica)

    def resume(self, replica: str | None) -> None:
        """Undo `pause`."""
        if isinstance(self._duty, Following) and replica in {None, self.node_id}:
            self._duty.resume()
        else:
            self._reigning("another's stream is the master's").resume(replica)

    async def promote(self, *, force: bool) -> NodeStatus:
        """Make this replica the master by raising the epoch.

        Without `force` the old master must be gone: its entries that this node has
        not received would be lost (they are kept on it, under `diverged/`).
        """
        async with self._changing:
            self._parts  # noqa: B018 - NodeStoppedError comes first
            if isinstance(self._duty, Reigning) and force and self._failure:
                # Two masters of one epoch: an operator says which one goes on.
                await self._change(Role.MASTER, "force")
                return self.status()
            if not isinstance(self._duty, Following):
                raise WrongRoleError("this node is the master already")
            self._duty.require_promotable(force=force)
            former = self._duty.machine.master_addr
            await self._change(Role.MASTER, "force" if force else "promote")
            self._spawn(self._reigning().announce(former))
        return self.status()

    async def start_replication(
        self, role: Role, master_addr: str | None
    ) -> NodeStatus:
        """Take a role at run time; a replica needs the master's address."""
        if role is Role.REPLICA and not master_addr:
            raise RequestError("a replica needs master_addr")
        async with self._changing:
            await self._change(role, "promote", master_addr or "")
        return self.status()

    async def stop_replication(self) -> NodeStatus:
        """Become a standalone node that takes writes for itself."""
        return await self.start_replication(Role.STANDALONE, None)

    # --- Roles ------------------------------------------------------------------------

    async def _change(self, role: Role, why: str, master_addr: str = "") -> None:
        """Give up the role, and every connection of it, for another one."""
        await self._parts.publisher.retire("this node changes its role")
        await self._leave_duty()
        self._failure = ""
        try:
            await self._take_up(role, why, (master_addr,))
        except BaseException as error:
            self._failure = f"this node could not become {role}: {error}"
            raise

    async def _take_up(self, role: Role, why: str, masters: tuple[str, ...]) -> None:
        self._role = role
        if role is Role.REPLICA:
            catalog = self._parts.standing.catalog
            catalog.update(role=role, master_addr=masters[0])
            self._duty = await Following.begin(self._parts, masters)
        else:
            self._duty = await Reigning.begin(self._parts, role, why)

    async def _leave_duty(self) -> None:
        """Stop writing or following; the database has no owner afterwards."""
        duty, self._duty = self._duty, None
        if duty is not None:
            await duty.leave()

    async def _depose(self, order: StepDown) -> None:
        """A higher epoch was met: take no more writes, follow its master."""
        async with self._changing:
            if self._stopping:
                return
            log.warning("stepping_down", epoch=order.epoch, reason=order.reason)
            self._parts.standing.catalog.update(epoch=order.epoch)
            master = order.master_addr or self._parts.master_addresses()[0]
            await self._change(Role.REPLICA, order.reason, master)

    # --- Called by the drivers --------------------------------------------------------

    def _visited(self, hello: Hello) -> Error:
        """A Hello while this node is no master: who is."""
        answer = None
        if isinstance(self._duty, Following):
            answer = self._duty.visited(hello)
        state = self._parts.state
        return answer or Error(
            ErrorCode.NOT_MASTER,
            "this node is no master just now",
            state.epoch,
            state.master_addr,
        )

    def _committed(self, offset: Offset) -> None:
        if isinstance(self._duty, Reigning):
            self._duty.committed(offset)

    def _step_down(self, order: StepDown) -> None:
        if isinstance(self._duty, Reigning):
            self._duty.deposed_by(order)
        self._spawn(self._depose(order))

    def _stop_writes(self, order: StopWrites) -> None:
        self._failure = order.reason
        if isinstance(self._duty, Reigning):
            self._duty.stop_writes(order)

    async def _send_snapshot(self, connection: Connection, order: SendSnapshot) -> None:
        if isinstance(self._duty, Reigning):
            await self._duty.send_snapshot(connection, order)

    def _failed(self, error: BaseException) -> None:
        if not self._stopping:
            self._failure = f"this node has failed: {error}"
            log.error("node_failed", reason=str(error), kind=type(error).__name__)

    @property
    def _trouble(self) -> str:
        """Why this node cannot serve just now, or empty."""
        if self._stopping:
            return self._failure or "this node is stopping"
        return self._failure or ("" if self._duty else "this node has no role just now")

    # --- Helpers ----------------------------------------------------------------------

    @property
    def _parts(self) -> Parts:
        if self._parts_if_open is None:
            raise NodeStoppedError("this node is not running; start it first")
        return self._parts_if_open

    def _reigning(self, why: str = "this node is no master") -> Reigning:
        """This node's reign; raises WrongRoleError naming who has one."""
        if isinstance(self._duty, Reigning):
            return self._duty
        where = f" at {self._duty.master_url}" if self._duty else ""
        raise WrongRoleError(f"{why}; ask the master{where}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task
