"""A node where etcd decides who reigns: it carries out what its leadership decides.

It follows or it reigns; changes between the two are performed in one order, requests
to etcd beside them, so that a slow disk never keeps the lease from being renewed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog
from msgspec.structs import replace

from nexus.errors import (
    ConfigurationError,
    DiskFullError,
    NexusError,
    NoMasterError,
    WrongRoleError,
)
from nexus.model.cluster import LinkState, MembersView, MemberView, NodeId, Role
from nexus.model.position import EpochHistory, Offset
from nexus.node.chronicle import read_chronicle
from nexus.node.clock import now_ms
from nexus.node.etcd.client import EtcdClient, LeaderValue
from nexus.node.etcd.reign import KeyedReign, prepared
from nexus.node.etcd.requests import KeyRequests
from nexus.node.etcd.settings import etcd_settings, leadership_settings
from nexus.node.parts import Parts
from nexus.node.report import DutyReport
from nexus.node.roles.following import Following
from nexus.node.roles.reigning import Reigning
from nexus.replication.effects import Report, StepDown
from nexus.replication.etcd.effects import (
    EndReign,
    Follow,
    KeyEffects,
    Leave,
    Reign,
    Require,
)
from nexus.replication.etcd.leadership import Leadership
from nexus.replication.etcd.stages import Stage

PROMOTION_LEASES: Final = 3
"""So many leases long a promotion waits for the key and the first entry's quorum."""

ETCD_DECIDES: Final = (
    "etcd decides which node of this cluster reigns; to have it otherwise stop all "
    "nodes, and set replication.coordinator to manual"
)

UNSETTLED: Final = frozenset({LinkState.FULL_SYNC, LinkState.REWINDING})

log = structlog.get_logger(__name__)

Move = Leave | Follow | Reign | EndReign


class Keyholding:
    """One time of belonging to a cluster under etcd; `begin` and `leave` it."""

    def __init__(self, parts: Parts, history: EpochHistory, client: EtcdClient) -> None:
        self.following: Following | None = None
        self._parts = parts
        self._client = client
        self._settings = leadership_settings(parts)
        epoch = max(parts.state.epoch, history.epoch)
        self.leadership = Leadership(self._settings, epoch)
        self._reign: KeyedReign | None = None
        self._moves: asyncio.Queue[Callable[[], Awaitable[None]] | None]
        self._moves = asyncio.Queue()
        self._mover: asyncio.Task[None] | None = None
        self._withdrawn = False
        self._opened = asyncio.Event()
        """Whether clients may write here."""
        self._requests = KeyRequests(
            client,
            self.leadership,
            LeaderValue(parts.state.node_id, parts.address),
            take=self._take,
            is_whole=lambda: self._is_whole,
        )

    @classmethod
    async def begin(cls, parts: Parts, *, voters: bool) -> "Keyholding":
        """Follow whoever was the master, until etcd says more.

        Raises ConfigurationError where the log names `voters`.
        """
        if voters:
            raise ConfigurationError(
                "replication.coordinator = 'etcd', but this node's cluster has voters "
                "that elect its master; set it to quorum, or begin with another "
                "data_dir"
            )
        known = await asyncio.to_thread(read_chronicle, parts.storage)
        client = EtcdClient(etcd_settings(parts.config.replication))
        holding = cls(parts, known.history, client)
        parts.before_replacing.append(holding.renounce)
        await holding._follow("")
        holding._mover = asyncio.create_task(holding._move_all())
        holding.tick()
        return holding

    async def leave(self) -> None:
        """Give up the key at once, so that others need not wait for the lease."""
        self._parts.before_replacing.remove(self.renounce)
        if self._mover is not None:  # what it is about has the disk's threads
            self._moves.put_nowait(None)
            await self._mover
        await self._vacate()
        await self._requests.end()
        await self._client.close()

    async def withdraw(self, reason: str) -> None:
        """This node has failed: free the key for another one, and want it no more."""
        self._withdrawn = True
        self._take(self.leadership.deposed(reason))
        await self._parts.publisher.retire(reason)

    # --- What it is now --------------------------------------------------------------

    @property
    def reigning(self) -> Reigning | None:
        """Its reign, if it has one."""
        return self._reign.reigning if self._reign else None

    @property
    def lease_s(self) -> int:
        """How long nobody can have the key of a master that is silent."""
        return self._settings.ttl_s

    @property
    def role(self) -> Role:
        """As the status tells it."""
        return Role.REPLICA if self._reign is None else Role.MASTER

    @property
    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        acting = self.reigning or self.following
        return acting.history if acting else EpochHistory()

    def report(self) -> DutyReport:
        """How it fares."""
        acting = self.reigning or self.following
        report = acting.report() if acting else DutyReport(state=LinkState.ELECTING)
        return replace(report, auto_failover=self._stands)

    @property
    def _stands(self) -> bool:
        return self._settings.stands and not self.leadership.keys.rests

    @property
    def rests(self) -> bool:
        """Whether it is in maintenance: no node takes the key by itself."""
        return self.leadership.keys.rests

    @property
    def heirs(self) -> frozenset[NodeId]:
        """Who may take this open reign's key; nobody where an operator decides that."""
        synced = self.leadership.synced
        if not (self._stands and self._opened.is_set() and synced):
            return frozenset()
        return synced.required

    async def set_auto_failover(self, *, enabled: bool) -> MembersView:
        """Begin or end maintenance, for the whole cluster; raises EtcdError.

        Every node knows with its next read. The members are those of etcd's list.
        """
        await self._client.rest(enabled=not enabled)
        synced, own = self.leadership.keys.synced, self._parts.state.node_id
        nodes = () if synced is None else synced.nodes
        views = tuple(
            MemberView(node, "", voter=True, connected=node == own) for node in nodes
        )
        return MembersView(self._parts.state.cluster_id, 0, enabled, views)

    def write_refusal(self) -> NexusError:
        """The error of a write while this node neither follows nor reigns."""
        return NoMasterError(
            "nothing happened: this node is on its way to the leader key; try again"
        )

    # --- What it is told -------------------------------------------------------------

    def tick(self) -> None:
        """Heartbeats, renewals, reads, the list."""
        if self._withdrawn:
            return
        if self.following is not None:
            self.following.tick()
        now = now_ms()
        self._take(self.leadership.tick(now))
        if self._reign is None:
            return
        self._reign.reigning.tick()
        machine = self._reign.machine
        self._take(
            self.leadership.followers(
                machine.followers(),
                promised=machine.promised_offset,
                durable=machine.durable_offset,
                now_ms=now,
            )
        )

    async def retain(self) -> None:
        """Drop what retention no longer keeps."""
        acting = self.reigning or self.following
        if acting is not None:
            await acting.retain()

    def committed(self, offset: Offset) -> None:
        """Every node of the list, and a quorum, hold the entries up to `offset`."""
        if self._reign is not None and self._reign.committed(offset):
            self._moves.put_nowait(partial(self._open, self._reign))

    def deposed_by(self, order: StepDown) -> None:
        """A higher epoch was met."""
        self._take(self.leadership.deposed(order.reason))

    async def promote(self, *, force: bool) -> None:
        """Take the key if it is free; returns once clients may write here.

        Raises WrongRoleError where it is not, NoMasterError where it took too long.
        """
        leader = self.leadership.keys.leader
        if force:
            raise WrongRoleError(ETCD_DECIDES)
        if leader is not None:
            raise WrongRoleError(
                f"{leader.node_id} at {leader.address} holds the leader key; stop it "
                "first"
            )
        self.leadership.stand()
        limit_s = PROMOTION_LEASES * self._settings.ttl_s
        try:
            async with asyncio.timeout(limit_s):
                await self._opened.wait()
        except TimeoutError:
            raise NoMasterError(
                f"this node did not come to reign within {limit_s} s: it must be in "
                "etcd's list of synced nodes, and a quorum must follow it"
            ) from None

    async def renounce(self) -> None:
        """This node's data are about to be replaced: it cannot take over meanwhile."""
        await self._client.renounce(self._settings.node_id)

    # --- Effects ---------------------------------------------------------------------

    def _take(self, effects: KeyEffects) -> None:
        for effect in effects:
            match effect:
                case Report():
                    self._parts.events.report(effect)
                case Require():
                    self._require(effect)
                case Leave() | Follow() | Reign() | EndReign():
                    if isinstance(effect, EndReign) and self._reign is not None:
                        self._reign.end_now(effect)
                    self._moves.put_nowait(partial(self._move, effect))
                case _:
                    self._requests.ask(effect)

    def _require(self, effect: Require) -> None:
        if self._reign is not None:
            machine = self._reign.machine
            self._parts.publisher.perform(machine.require(effect.nodes, now_ms()))

    async def _move_all(self) -> None:
        try:
            while (move := await self._moves.get()) is not None:
                await move()
        except Exception as error:  # noqa: BLE001 - it must reach the node
            self._parts.failed(error)

    async def _move(self, move: Move) -> None:
        match move:
            case Leave():
                await self._vacate()
                self._take(self.leadership.left(self._parts.state.epoch))
            case Follow():
                await self._follow(move.address)
            case Reign():
                await self._begin_reign(move)
            case EndReign():
                self._parts.events.warning("stepping_down", move.reason)
                await self._vacate()
                self._take(self.leadership.reign_ended())

    async def _begin_reign(self, order: Reign) -> None:
        if self.leadership.stage is not Stage.REIGNS:
            return  # the lease has ended meanwhile; an EndReign follows
        elections = self._parts.measures.elections
        elections["started"] += 1
        try:
            history = await prepared(self._parts, order)
            synced = self.leadership.synced  # it may be another one by now
            required = synced.required if synced else order.synced
            reign = KeyedReign(
                self._parts, history, required, self.leadership.may_acknowledge
            )
            self._reign = reign
            await reign.begin()
            elections["won"] += 1
        except NexusError as error:
            elections["lost"] += 1
            self._take(self.leadership.reign_failed(str(error), now_ms()))

    async def _open(self, reign: KeyedReign) -> None:
        try:
            await reign.open()
        except DiskFullError as error:  # another node may have space
            self._take(self.leadership.reign_failed(str(error), now_ms()))
        else:
            self._opened.set()

    async def _follow(self, address: str) -> None:
        await self._vacate()
        parts = self._parts
        addresses = (address,) if address else parts.master_addresses()
        parts.storage.catalog.update(role=Role.REPLICA, master_addr=addresses[0])
        self.following = await Following.begin(parts, addresses)

    async def _vacate(self) -> None:
        """Stop writing or following; the database has no owner afterwards."""
        self._opened.clear()
        reign, self._reign = self._reign, None
        following, self.following = self.following, None
        if reign is not None:
            await self._parts.publisher.retire("this node's reign has ended")
            await reign.leave()
        if following is not None:
            await following.leave()

    @property
    def _is_whole(self) -> bool:
        """Whether its data are all there, and nothing is about to replace them."""
        following, state = self.following, self._parts.state
        if self._withdrawn or state.intent is not None or state.incomplete:
            return False
        if following is None:
            return False
        return following.is_idle and following.machine.state not in UNSETTLED
