"""A node in the role of replica: its link to the master, and the applying thread."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from nexus.errors import NexusError
from nexus.model.cluster import ReplicaStats, ReplicaStatus
from nexus.model.position import EpochHistory, Position
from nexus.node.chronicle import read_chronicle
from nexus.node.clock import now_ms
from nexus.node.follower import Follower, FollowerHooks
from nexus.node.network.connection import Connection
from nexus.node.network.pacing import paced
from nexus.node.parts import Parts
from nexus.node.report import DutyReport
from nexus.node.roles.holding import pause, resume
from nexus.node.roles.intake import IntakeHooks, SnapshotIntake
from nexus.node.roles.machines import mode_of, replica_of
from nexus.node.roles.referral import no_master, referral, unready
from nexus.node.roles.rescue import Rescue
from nexus.node.roles.rewinding import take_back
from nexus.node.roles.shortening import retain
from nexus.node.streaming.adapters import MasterAdapter, ReplicaAdapter
from nexus.node.streaming.relayadapter import RelayAdapter
from nexus.node.writing.worker import ApplyHooks, ApplyWorker, errand
from nexus.protocol.messages import Error, Hello, Plan
from nexus.replication.cascades.relaying_replica import RelayingReplica
from nexus.replication.effects import (
    Adopt,
    Close,
    Diverged,
    Peer,
    Rewind,
    Send,
    SendSnapshot,
    Stream,
)
from nexus.replication.members.effects import MemberEffect, MemberEffects
from nexus.replication.replica import Replica
from nexus.storage.schema.system import read_configuration

_VISITOR: Final = Peer("visitor")

log = structlog.get_logger(__name__)


class Following:
    """One time of following; `begin` it, and `leave` it for good."""

    def __init__(
        self,
        parts: Parts,
        machine: Replica,
        *,
        adapter: ReplicaAdapter | None = None,
        port: MasterAdapter | None = None,
        others: Callable[[MemberEffect], Awaitable[None]] | None = None,
    ) -> None:
        """Where `machine` is a part of a member, the adapters are what drivers call.

        `others` performs what only a member asks for.
        """
        self.machine = machine
        self.parts = parts
        self.port: MasterAdapter | RelayAdapter | None = port
        if isinstance(machine, RelayingReplica):
            self.port = RelayAdapter(machine, parts.log, self.take)
        self._elects = adapter is not None
        self._configured: Callable[[], None] | None = None
        self.worker = self._new_worker()
        self._rescue = Rescue(parts)
        intake = SnapshotIntake(
            parts,
            self._rescue,
            IntakeHooks(self.on_worker, self._restart, lambda: self.follower),
        )
        self.follower = Follower(
            adapter or machine,
            parts.log,
            self.worker,
            self._hooks(intake, others or self._to_downstreams),
            security=paced(parts.port.security, parts.config),
            timeout_s=parts.config.replication.connect_timeout_ms / 1000,
        )

    def _hooks(
        self, intake: SnapshotIntake, others: Callable[[MemberEffect], Awaitable[None]]
    ) -> FollowerHooks:
        return FollowerHooks(
            adopt=self._adopt,
            diverged=self._export,
            rewind=self._rewind,
            receive_snapshot=intake.receive,
            store_chunk=intake.store,
            install=intake.install,
            failed=self.parts.failed,
            others=others,
            events=self.parts.events,
            log_sync=self.parts.measures.log_sync,
        )

    @classmethod
    async def begin(
        cls,
        parts: Parts,
        addresses: tuple[str, ...],
        configured: Callable[[], None] = lambda: None,
    ) -> "Following":
        """Look for the master at these addresses, the first one first.

        `configured` is called once the log that is followed names voters.
        """
        known = await asyncio.to_thread(read_chronicle, parts.storage)
        machine = replica_of(parts, addresses, known.history)
        broken_off = await asyncio.to_thread(parts.receiver.pending)
        if broken_off is not None:
            machine.resume_snapshot(*broken_off)
        following = cls(parts, machine)
        following._configured = configured
        following.start()
        return following

    def start(self) -> None:
        """Take the database's writer, look for the master, let downstreams come."""
        if isinstance(self.port, RelayAdapter):
            self.parts.publisher.reign(self.port)
        self.worker.start()
        self.follower.start()

    async def leave(self) -> None:
        """Leave the master and end the thread; what was acknowledged is durable."""
        await self.follower.stop()
        await asyncio.to_thread(self.worker.stop)

    @property
    def is_idle(self) -> bool:
        """Whether no effect waits or is being performed."""
        return self.follower.is_idle

    def take(self, effects: MemberEffects) -> None:
        """Perform these after all that waits already."""
        self.follower.take(effects)

    async def hold(self) -> None:
        """Apply nothing more until more is asked for; the running batch has ended."""
        self.worker.hold()
        await self.on_worker(lambda: None)

    async def rest(self) -> None:
        """Give up the database's writer."""
        await asyncio.to_thread(self.worker.stop)

    async def wake(self, machine: Replica) -> None:
        """Have the writer again; a pause that comes meanwhile is this machine's."""
        self.machine = machine
        await self.rest()
        self.worker = self._new_worker()
        self.follower.employ(self.worker)
        self.worker.start()

    def _restart(self) -> None:
        self.worker.restart()

    def _new_worker(self) -> ApplyWorker:
        parts = self.parts
        return ApplyWorker(
            parts.database,
            parts.log,
            ApplyHooks(
                applied=parts.on_loop(self._applied),
                # By a lambda: the follower is made with the worker.
                conflicted=parts.on_loop(lambda error: self.follower.conflicted(error)),  # noqa: PLW0108
                failed=parts.on_loop(parts.failed),
                short=parts.on_loop(lambda error: self.follower.short(error)),  # noqa: PLW0108
                fingerprint=parts.verifications.pin,
            ),
            parts.measures,
        )

    def report(self) -> DutyReport:
        """How this role fares."""
        machine, master, now = self.machine, self.machine.master, now_ms()
        return DutyReport(
            connected=machine.is_connected,
            commit_offset=machine.commit_offset,
            lag=machine.lag(now),
            lag_seconds=machine.lag_seconds(now),
            apply_delay_ms=machine.apply_delay_ms,
            held_back=machine.held_back(now),
            master_id=machine.master_id,
            upstream_id=master.master_id if master else "",
            replica_count=sum(one.connected_seconds > 0 for one in self.downstreams),
            master_url=self.master_url,
            state=machine.state,
            paused=machine.paused,
            mode=mode_of(self.parts, machine.history),
            last_error=self.follower.trouble,
        )

    def stats(self) -> ReplicaStats:
        """GET /replication/replica/stats."""
        received = self.follower.bytes_received
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
        base, witness = self.parts.database, self.parts.is_witness
        return unready(self.machine, max_lag, stands=base.stands, witness=witness)

    def write_refusal(self) -> NexusError:
        """The error of a write that came here."""
        # Where nodes elect, the master that was is perhaps none any more.
        known = self.machine.is_connected or not self._elects
        if self.machine.master is None or not known:
            return no_master()
        return referral(self.master_url, self.machine.master_addr)

    def pause(self) -> None:
        """Apply no more."""
        pause(self)

    def resume(self, *, at_once: bool = False) -> None:
        """Undo `pause`; `at_once`: and apply now what a delay holds back."""
        resume(self, at_once=at_once)

    def tick(self) -> None:
        """Deadlines, heartbeats, reconnection."""
        self.follower.tick()
        self._look_for_voters()

    async def retain(self) -> None:
        """Drop what retention no longer keeps."""
        try:
            await retain(self)
        except NexusError as error:
            # A full disk, say: the next tick tries again.
            log.warning("log_not_shortened", reason=str(error))

    def visited(self, hello: Hello) -> Error | None:
        """A Hello at a replica's door; an announcement may give it a new master."""
        answer = None
        for effect in self.machine.hello(_VISITOR, hello):
            if isinstance(effect, Close):
                answer = Error(
                    effect.code, effect.message, effect.epoch, effect.master_addr
                )
            else:
                self.follower.take((effect,))
        return answer

    @property
    def downstreams(self) -> tuple[ReplicaStatus, ...]:
        """The replicas that follow this one."""
        return () if self.port is None else self.port.downstreams()

    async def send_snapshot(self, connection: Connection, order: SendSnapshot) -> None:
        """Carry out a SendSnapshot for one of them."""
        assert self.port is not None, "only who has a port is asked for one"
        parts, cluster_id = self.parts, self.parts.state.cluster_id
        perform = parts.publisher.perform
        await parts.sender.send(connection, order, self.port, perform, cluster_id)

    async def _to_downstreams(self, effect: MemberEffect) -> None:
        """What the replica's relay asks of the port."""
        assert isinstance(effect, Send | Close | Stream | SendSnapshot), f"{effect}"
        self.parts.publisher.perform((effect,))

    # --- What the machine asks for ------------------------------------------------

    async def _adopt(self, effect: Adopt) -> None:
        welcome = effect.welcome
        await asyncio.to_thread(
            self.parts.storage.catalog.update,
            cluster_id=welcome.cluster_id,
            epoch=max(welcome.epoch, self.parts.state.epoch),
            master_addr=self.machine.master_addr,
        )
        database = self.parts.database
        needed = not (database.stands or self.parts.is_witness)
        if welcome.plan is not Plan.FULL_SYNC and needed:
            await self.on_worker(
                lambda: database.open_writer(
                    page_size=welcome.page_size, encoding=welcome.encoding
                )
            )

    async def _export(self, effect: Diverged) -> None:
        await self._rescue.rows(self.history, effect)

    async def _rewind(self, effect: Rewind) -> None:
        reason = await take_back(self.parts, self.worker, effect.to)
        if reason:
            self.follower.last_error = reason
            self.follower.take(self.follower.machine.rewind_failed(reason, now_ms()))
        else:
            self._rescue.done()
            self.follower.take(self.follower.machine.rewound(now_ms()))

    async def on_worker(self, call: Any) -> Any:
        """Call it on the thread that owns the database, between two batches."""
        job = errand(call, self.parts.loop)
        self.worker.run_soon(job)
        return await job.waiter

    def _look_for_voters(self) -> None:
        """Once: whether the database says by now who votes."""
        database = self.parts.database
        if self._configured is None or not database.stands:
            return
        with database.reader() as reader:
            if read_configuration(reader) is None:
                return
        configured, self._configured = self._configured, None
        configured()

    def _applied(self, position: Position) -> None:
        self.follower.applied(position)
        self.parts.waiters.passed(position.offset)
