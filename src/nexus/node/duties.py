"""Which duty a node has, how it takes one up, and how it gives it up in order."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from nexus.config import Config
from nexus.errors import (
    NodeStoppedError,
    NoMasterError,
    WrongRoleError,
)
from nexus.model.cluster import Mode, Role
from nexus.model.position import EpochHistory, Offset
from nexus.node.chronicle import has_voters
from nexus.node.elections.forming import Forming, is_of_no_cluster, warn_of_peers
from nexus.node.elections.resting import RESTS, Resting
from nexus.node.elections.voting import Voting
from nexus.node.etcd.holding import ETCD_DECIDES, Keyholding
from nexus.node.network.connection import Connection
from nexus.node.parts import Parts
from nexus.node.report import DutyReport, failure_of
from nexus.node.roles.accession import keep_deposed, stand_alone
from nexus.node.roles.following import Following
from nexus.node.roles.modes import role_at_start, warn_of_mode, warn_of_quorum
from nexus.node.roles.reigning import Reigning
from nexus.node.tasks import Tasks
from nexus.node.transactions import TransactionManager
from nexus.protocol.messages import Error, ErrorCode, Hello
from nexus.replication.effects import SendSnapshot, StepDown, StopWrites
from nexus.replication.elections.formation import Formed, Joins

Duty = Reigning | Following | Voting | Forming | Keyholding | Resting

log = structlog.get_logger(__name__)


class Duties:
    """One duty at a time; changes are one at a time too."""

    def __init__(self, config: Config) -> None:
        self._parts: Parts | None = None
        self.duty: Duty | None = None
        self.failure = ""
        """Why this node cannot go on, or empty."""
        self.stopping = False
        self.changing = asyncio.Lock()
        self._role = config.replication.role
        self._tasks = Tasks()

    # --- What it is now --------------------------------------------------------------

    @property
    def parts(self) -> Parts:
        """What the duties work with; raises NodeStoppedError while it is not open."""
        if self._parts is None:
            raise NodeStoppedError("this node is not running; start it first")
        return self._parts

    @property
    def is_open(self) -> bool:
        """Whether there is something to work with."""
        return self._parts is not None

    def use(self, parts: Parts | None) -> None:
        """From now on the duties work with these; None: they are closed."""
        self._parts = parts

    @property
    def acting(self) -> Reigning | Following | Forming | Resting | None:
        """The master's or replica's part that this node has just now."""
        if isinstance(self.duty, Voting | Keyholding):
            return self.duty.reigning or self.duty.following
        return self.duty

    @property
    def role(self) -> Role:
        """As the status tells it."""
        if isinstance(self.duty, Voting | Keyholding):
            return self.duty.role
        if isinstance(self.duty, Forming | Resting) and self._role is not Role.WITNESS:
            return Role.REPLICA
        return self._role

    @property
    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        return self.duty.history if self.duty else EpochHistory()

    @property
    def trouble(self) -> str:
        """Why this node cannot serve just now, or empty."""
        if self.stopping:
            return self.failure or "this node is stopping"
        return self.failure or ("" if self.duty else "this node has no role just now")

    def report(self) -> DutyReport:
        """How the duty fares."""
        return self.duty.report() if self.duty else DutyReport()

    def writer(self) -> TransactionManager:
        """The manager of writes; raises why there is none here."""
        acting = self.acting
        if isinstance(acting, Reigning):
            return acting.manager
        if acting is not None:
            raise acting.write_refusal()
        if isinstance(self.duty, Keyholding):
            raise self.duty.write_refusal()
        raise NoMasterError(f"nothing happened: {self.trouble}; try again soon")

    def reigning(self, why: str = "this node is no master") -> Reigning:
        """This node's reign; raises WrongRoleError naming who has one."""
        acting = self.acting
        if isinstance(acting, Reigning):
            return acting
        url = acting.master_url if isinstance(acting, Following) else ""
        raise WrongRoleError(f"{why}; ask the master{f' at {url}' if url else ''}")

    def voting(self) -> Voting:
        """This node as one of a cluster with voters; raises WrongRoleError."""
        if isinstance(self.duty, Voting):
            return self.duty
        if isinstance(self.duty, Resting):
            raise WrongRoleError(RESTS)
        raise WrongRoleError(
            "this node's cluster has no voters: it was not formed with "
            "replication.peers, so an operator promotes"
        )

    def require_no_voter(self) -> None:
        """Raise WrongRoleError on a voter: what it wrote alone would be taken back."""
        if isinstance(self.duty, Keyholding):
            raise WrongRoleError(ETCD_DECIDES)
        if isinstance(self.duty, Resting) or self.votes:
            raise WrongRoleError(
                "this node is a voter of its cluster, which elects: remove it first, "
                f"DELETE /cluster/members/{self.parts.state.node_id} on the master"
            )

    @property
    def votes(self) -> bool:
        """Whether the log names this node as a voter, and it takes part."""
        duty, own = self.duty, self.parts.state.node_id
        return isinstance(duty, Voting) and own in dict(duty.voters)

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
        await self._take_up(role, "start", parts.master_addresses())

    async def change(
        self,
        role: Role,
        why: str,
        master_addr: str = "",
        *,
        mode: Mode | None = None,
    ) -> None:
        """Give up the role, and every connection of it, for another one.

        `mode` is what an operator says; else the log's stays.
        """
        await self.parts.publisher.retire("this node changes its role")
        await self.leave()
        self.failure = ""
        try:
            await self._take_up(role, why, (master_addr,), mode)
        except BaseException as error:
            self.failure = f"this node could not become {role}: {error}"
            raise

    async def renew(self) -> None:
        """Give up the duty for the one that disk and settings say by now."""
        await self.parts.publisher.retire("this node changes its role")
        await self.leave()
        self.failure = ""
        try:
            await self.begin()
        except BaseException as error:
            self.failure = f"this node could not take up its role: {error}"
            raise

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

    async def _take_up(
        self,
        role: Role,
        why: str,
        masters: tuple[str, ...],
        mode: Mode | None = None,
    ) -> None:
        self._role = role
        if role is Role.REPLICA:
            catalog = self.parts.storage.catalog
            catalog.update(role=role, master_addr=masters[0])
            self.duty = await Following.begin(
                self.parts, masters, self._configuration_met
            )
        else:
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
                await self.change(Role.REPLICA, "start", decided.addresses[0])
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
        """A higher epoch was met: take no more writes, follow its master if any."""
        async with self.changing:
            if self.stopping:
                return
            self.parts.events.warning("stepping_down", order.reason)
            self.parts.storage.catalog.update(epoch=order.epoch)
            role = self.role if order.vacant else Role.REPLICA
            master = order.master_addr or self.parts.master_addresses()[0]
            await self.change(role, "promote", master)

    # --- Called by the drivers -------------------------------------------------------

    def visited(self, hello: Hello) -> Error:
        """A Hello while this node is no master: who is."""
        if isinstance(self.duty, Following) and (answer := self.duty.visited(hello)):
            return answer
        said = "this node is no master just now"
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
            if isinstance(self.duty, Voting):
                self.spawn(self.duty.withdraw(self.failure))

    # --- Tasks -----------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside all else, until it ends or the node stops."""
        self._tasks.spawn(work)

    def cancel_tasks(self) -> None:
        """End what runs beside."""
        self._tasks.cancel()
