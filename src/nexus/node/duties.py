"""How a node takes a duty up, and gives it up in order."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from nexus.config import Config
from nexus.model.cluster import Mode, Role
from nexus.model.position import Offset
from nexus.node.chronicle import has_voters
from nexus.node.duty import CurrentDuty
from nexus.node.elections.forming import Forming, is_of_no_cluster, warn_of_peers
from nexus.node.elections.voting import Voting
from nexus.node.etcd.holding import Keyholding
from nexus.node.network.connection import Connection
from nexus.node.report import failure_of
from nexus.node.roles.accession import keep_deposed, stand_alone
from nexus.node.roles.following import Following
from nexus.node.roles.modes import role_at_start, warn_of_mode, warn_of_quorum
from nexus.node.roles.reigning import Reigning
from nexus.node.tasks import Tasks
from nexus.protocol.messages import Error, ErrorCode, Hello
from nexus.replication.effects import SendSnapshot, StepDown, StopWrites
from nexus.replication.elections.formation import Formed, Joins
from nexus.replication.handshake.admission import claims_to_be_master

log = structlog.get_logger(__name__)


class Duties(CurrentDuty):
    """The changes from one duty to another, one at a time."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.changing = asyncio.Lock()
        self._tasks = Tasks()

    # --- Changes; the caller holds `changing` ----------------------------------------

    async def begin(self) -> None:
        """Take up what disk and settings say."""
        parts = self.parts
        voters = await asyncio.to_thread(has_voters, parts.storage)
        if parts.config.replication.coordinator == "etcd":
            self.duty = await Keyholding.begin(parts, voters=voters)
            return
        if voters:
            self.duty = await Voting.begin(parts, self._configuration_met)
            warn_of_peers(parts, dict(self.duty.voters))
            warn_of_mode(parts, self.duty.member.mode)
            warn_of_quorum(parts, self.duty.member.sync_quorum)
            return
        if parts.config.replication.peers and is_of_no_cluster(parts):
            self.duty = Forming(parts, self._formed)
            return
        if parts.is_witness:
            self.duty = await Voting.begin(parts, self._configuration_met)
            return
        role = role_at_start(parts)
        if role is Role.REPLICA:
            await self._follow(parts.master_addresses())
        else:
            await self._reign(role, "start")

    async def follow(self, master_addr: str) -> None:
        """Give up the duty, and every connection of it, and follow the node there."""
        await self._exchange("become a replica", partial(self._follow, (master_addr,)))

    async def reign(self, role: Role, why: str, *, mode: Mode | None = None) -> None:
        """Give up the duty, and every connection of it, for a reign in this role.

        `why` is what the log says of it; `mode` is an operator's wish, None: the log's
        stays.
        """
        begin = partial(self._reign, role, why, mode)
        await self._exchange(f"become {role}", begin)

    async def renew(self) -> None:
        """Give up the duty for the one that disk and settings say by now."""
        await self._exchange("take up its role", self.begin)

    async def force(self) -> None:
        """Be the only voter, in a higher epoch, whatever other voters there were."""
        await self.parts.publisher.retire("this node is forced to reign")
        await self.leave()
        try:
            await asyncio.to_thread(stand_alone, self.parts)
        finally:
            await self.renew()

    async def leave(self) -> None:
        """Stop writing or following; the database has no owner afterwards."""
        duty, self.duty = self.duty, None
        if duty is not None:
            await duty.leave()

    async def _exchange(
        self, what: str, take_up: Callable[[], Awaitable[None]]
    ) -> None:
        """Leave the duty, then take another one up; says what it could not."""
        await self.parts.publisher.retire("this node changes its role")
        await self.leave()
        self.failure = ""
        try:
            await take_up()
        except BaseException as error:
            self.failure = f"this node could not {what}: {error}"
            raise

    async def _follow(self, addresses: tuple[str, ...]) -> None:
        self._role = Role.REPLICA
        catalog = self.parts.storage.catalog
        catalog.update(role=Role.REPLICA, master_addr=addresses[0])
        self.duty = await Following.begin(
            self.parts, addresses, self._configuration_met
        )

    async def _reign(self, role: Role, why: str, mode: Mode | None = None) -> None:
        self._role = role
        self.duty = await Reigning.begin(self.parts, role, why, mode)

    def _formed(self, decided: Formed | Joins) -> None:
        self.spawn(self._settle(decided))

    async def _settle(self, decided: Formed | Joins) -> None:
        async with self.changing:
            if self.stopping:
                return
            if isinstance(decided, Joins):
                log.info("joins_cluster", addresses=decided.addresses)
                if self.parts.is_witness:
                    await self.leave()
                    self.duty = await Voting.begin(self.parts, self._configuration_met)
                    return
                await self.follow(decided.addresses[0])
                return
            formed = decided.configuration
            log.info("cluster_formed", cluster_id=formed.cluster_id)
            await asyncio.to_thread(
                self.parts.storage.catalog.update,
                cluster_id=formed.cluster_id,
                voters=formed.voters,
                founder=decided.founder,
            )
            await self.renew()

    def _configuration_met(self) -> None:
        """The log that this replica follows has voters: it is to know them."""
        self.spawn(self._become_voting())

    async def _become_voting(self) -> None:
        async with self.changing:
            if not self.stopping and isinstance(self.duty, Following | Voting):
                await self.renew()

    async def _depose(self, order: StepDown) -> None:
        """A higher epoch was met: follow its master; where it has none, reign anew."""
        async with self.changing:
            if self.stopping:
                return
            self.parts.events.warning("stepping_down", order.reason)
            self.parts.storage.catalog.update(epoch=order.epoch)
            if order.vacant and self.role is not Role.REPLICA:
                await self.reign(self.role, "promote")
            else:
                master = order.master_addr or self.parts.master_addresses()[0]
                await self.follow(master)

    # --- Called by the drivers -------------------------------------------------------

    def visited(self, hello: Hello) -> Error:
        """A Hello while this node is no master: who is."""
        if isinstance(self.duty, Following) and (answer := self.duty.visited(hello)):
            return answer
        said = "this node is no master just now"
        if self.duty is None and claims_to_be_master(hello):
            return Error(
                ErrorCode.STOPPING, f"{said}, and follows nobody; say it again"
            )
        if self._parts is None:
            return Error(ErrorCode.NOT_MASTER, said)
        state = self._parts.state
        return Error(ErrorCode.NOT_MASTER, said, state.epoch, state.master_addr)

    async def asked_for_votes(
        self, connection: Connection, hello: Hello, challenge: bytes
    ) -> None:
        """A proven Hello that wants a connection for votes."""
        if isinstance(self.duty, Voting | Forming):
            await self.duty.links.serve(connection, hello, challenge)
            return
        reason = "this node knows of no voters just now"
        await connection.refuse(ErrorCode.BUSY, reason)

    def committed(self, offset: Offset) -> None:
        """A quorum holds every entry up to `offset`."""
        if isinstance(self.duty, Reigning | Keyholding):
            self.duty.committed(offset)

    def step_down(self, order: StepDown) -> None:
        """A higher epoch was met."""
        if isinstance(self.duty, Keyholding):
            self.duty.deposed_by(order)
            return
        if isinstance(self.duty, Reigning):
            self.duty.deposed_by(order)
            keep_deposed(self.parts, order)
        self.spawn(self._depose(order))

    def stop_writes(self, order: StopWrites) -> None:
        """Two masters reign in one epoch."""
        self.failure = order.reason
        if isinstance(self.acting, Reigning):
            self.acting.stop_writes(order)

    async def send_snapshot(self, connection: Connection, order: SendSnapshot) -> None:
        """A replica wants a snapshot."""
        if isinstance(self.acting, Reigning | Following):
            await self.acting.send_snapshot(connection, order)

    def failed(self, error: BaseException) -> None:
        """The node cannot go on."""
        if not self.stopping:
            self.failure = failure_of(error)
            log.error("node_failed", reason=self.failure, kind=type(error).__name__)
            if isinstance(self.duty, Voting | Keyholding):
                self.spawn(self.duty.withdraw(self.failure))

    # --- Tasks -----------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside all else, until it ends or the node stops."""
        self._tasks.spawn(work)

    def cancel_tasks(self) -> None:
        """End what runs beside."""
        self._tasks.cancel()
