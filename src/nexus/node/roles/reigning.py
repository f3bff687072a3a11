"""A node in the role of master, or standalone: one reign, its writer, its replicas."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from nexus.errors import NexusError, NoMasterError, QuorumLostError, WritesStoppedError
from nexus.model.cluster import LinkState, MasterStats, Mode, NodeId, Role
from nexus.model.operation import Fingerprint
from nexus.model.position import EpochHistory, Offset, Reign
from nexus.node.clock import now_ms
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import answer_to
from nexus.node.parts import Parts
from nexus.node.report import DutyReport
from nexus.node.roles.lacking import lack_of, refusal_for
from nexus.node.roles.machines import master_of
from nexus.node.roles.modes import mode_at_start, pace_s
from nexus.node.roles.syncs import syncs_told
from nexus.node.roles.taking import HELD, Taking, WriteGate
from nexus.node.startup import PROMOTION_STEP, new_reign, next_epoch, redo
from nexus.node.streaming.adapters import MasterAdapter
from nexus.node.telemetry.shortage import Shortage
from nexus.node.telemetry.transitions import record_reign
from nexus.node.transactions import TransactionManager
from nexus.node.writing.batch import Hooks
from nexus.node.writing.commitment import Commitment
from nexus.protocol.messages import Error, Welcome
from nexus.replication.effects import SendSnapshot, StepDown, StopWrites
from nexus.replication.handshake.announcement import answered, require_heard
from nexus.replication.master import Master
from nexus.storage.identity import fresh_id

ANNOUNCE_EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)


class Reigning:
    """One reign of this node; `begin` it, and `leave` it for good."""

    def __init__(
        self,
        parts: Parts,
        machine: Master,
        mode: Mode,
        *,
        port: MasterAdapter | None = None,
        lease: Callable[[], bool] | None = None,
    ) -> None:
        """`mode` is the log's. Where voters gave the reign, `port` is the member's.

        And `lease` tells whether the voters still follow this reign.
        """
        self.machine = machine
        self.mode = mode
        """What its acknowledgements mean; `wait_as` changes it."""
        self._port = port or machine
        self.is_open = False
        """Whether the writer takes transactions, now or between two refusals."""
        self._parts = parts
        self._space = Shortage(parts.events)
        self._elected = lease is not None
        replication = parts.config.replication
        sync = mode is Mode.SYNC
        parts.publisher.pace_s = pace_s(mode)
        self._commitment = (
            Commitment(replication.sync_timeout_ms / 1000, quorum=sync, lease=lease)
            if sync or self._elected
            else None
        )
        early = lambda: self.mode is not Mode.SYNC  # noqa: E731
        self.manager = TransactionManager(
            parts.database,
            parts.log,
            self._hooks(
                syncs_told(parts, self._port, sync=sync, elected=self._elected),
                parts.on_loop(port.written if port else None, unless=early),
            ),
            limit_bytes=parts.config.limits.transaction_bytes,
        )
        self._gate = WriteGate(self.manager.refuse_writes)
        self.guest_lacks_space = False
        """Whether a named database of this node has no room for any write."""

    def _hooks(
        self, stored: Callable[[Offset], None], written: Callable[[Offset], None]
    ) -> Hooks:
        parts = self._parts
        return Hooks(
            stored=stored,
            applied=parts.on_loop(
                parts.waiters.passed, unless=lambda: not parts.waiters.count
            ),
            failed=parts.on_loop(parts.failed),
            fingerprint=parts.verifications.pin,
            written=written,
            durable_on=self.machine.durable_on,
            commitment=self._commitment,
            measures=parts.measures,
            space=self._space,
        )

    @classmethod
    async def begin(
        cls, parts: Parts, role: Role, why: str, mode: Mode | None = None
    ) -> "Reigning":
        """A new epoch and history, durable before they are used.

        In the log's mode, unless an operator says another one. Raises StorageError, and
        DiskFullError where the first entry has no room.
        """
        if not parts.database.stands:
            await asyncio.to_thread(parts.database.open_writer)
        await asyncio.to_thread(redo, parts.storage)
        history = parts.database.history()
        step = 1 if why in ("start", "mode") else PROMOTION_STEP
        mode = mode or mode_at_start(parts, history, why)
        epoch = next_epoch(parts.storage.catalog, history, step=step)
        reign = new_reign(parts.storage, epoch, why, mode)
        parts.storage.catalog.update(
            role=role,
            epoch=reign.epoch,
            history_id=reign.history_id,
            cluster_id=parts.state.cluster_id or fresh_id(),
            master_addr="",
            paused=False,
        )
        reigning = cls(parts, master_of(parts, history.begun(reign)), mode)
        parts.publisher.reign(reigning.machine)
        await asyncio.to_thread(reigning.manager.start, reign, mode=mode)
        reigning.is_open = True
        record_reign(parts.events, reigning.history)
        return reigning

    def open(self, reign: Reign) -> None:
        """Take transactions in a reign that voters gave: its first entry is applied."""
        self.manager.go_on(reign)
        self.is_open = True

    async def leave(self) -> None:
        """End the writer; the database has no owner.

        The batch at hand is answered; one that waits for a quorum is taken back, and
        its clients are told that its outcome is unknown.
        """
        if self._commitment is not None:
            self._commitment.end("this node's reign has ended")
        await asyncio.to_thread(self.manager.stop)

    def report(self) -> DutyReport:
        """How this role fares."""
        replicas = self.machine.replicas(now_ms())
        gone = LinkState.RECONNECTING
        there = sum(replica.state is not gone for replica in replicas)
        return DutyReport(
            connected=there > 0,
            commit_offset=self._commit_offset(),
            replica_count=there,
            master_id=self._parts.state.node_id,
            master_url=self._parts.http_url,
            state=LinkState.STREAMING,
            paused=self.machine.paused,
            mode=self.mode,
        )

    def _commit_offset(self) -> Offset:
        # In async mode the machine is not told of every sync while nobody follows.
        if self._commitment is None:
            return self._parts.log.durable_offset
        return self.machine.commit_offset

    def stats(self) -> MasterStats:
        """GET /replication/master/stats."""
        stats = self.machine.stats(now_ms())
        commitment = self._commitment
        waits = commitment if commitment and commitment.quorum else None
        return msgspec.structs.replace(
            stats,
            current_offset=self._parts.log.durable_offset,
            log_size=self._parts.log.entry_count,
            rejected_connections=(
                stats.rejected_connections + self._parts.publisher.rejected
            ),
            sync_acks=waits.acknowledged if waits else 0,
            sync_timeouts=waits.late if waits else 0,
        )

    @property
    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        return self.machine.history

    def pause(self, replica: str | None) -> None:
        """Stream no more, to one replica or to all."""
        self._parts.publisher.perform(self.machine.pause(_named(replica)))

    def resume(self, replica: str | None) -> None:
        """Undo `pause`."""
        effects = self.machine.resume(_named(replica), now_ms())
        self._parts.publisher.perform(effects)

    async def mark(self) -> Offset:
        """Log a mark at which every node hashes its tables."""
        return await self.manager.write(Fingerprint(uuid.uuid4().hex[:8]))

    def tick(self) -> None:
        """Heartbeats and dead peers; in sync mode, whether a quorum is there."""
        publisher = self._parts.publisher
        if publisher.is_alone:  # nobody told it of the syncs since the last tick
            publisher.stored(self._parts.log.durable_offset)
        publisher.tick()
        self.watch_quorum()

    def committed(self, offset: Offset) -> None:
        """A quorum holds every entry up to `offset`."""
        if self._commitment is not None:
            self._commitment.reached(offset)

    @property
    def lacks_space(self) -> bool:
        """Whether its disk is too full for any write, be it in a named database."""
        full = self._space.stops_all or self.manager.lacks_space
        return full or self.guest_lacks_space

    @property
    def lacks_quorum(self) -> bool:
        """Whether it refuses writes because too few nodes are there."""
        return self._gate.taking is Taking.LACKS_QUORUM

    def watch_quorum(self) -> None:
        """Refuse new writes at once while too few nodes are there to hold them."""
        waits = self._commitment is not None and self._commitment.quorum
        if self._gate.is_settled or not (waits and self.is_open):
            return
        lack = lack_of(self.machine)
        if bool(lack) is self.lacks_quorum:
            return
        if lack:
            self._parts.events.warning("quorum_lost", lack)
            self._gate.turn(Taking.LACKS_QUORUM, self._while_quorum_lacks)
        else:
            here = self.machine.nodes_in_reach(now_ms())
            self._parts.events.info("quorum_is_back", f"{here} nodes are there")
            self._gate.turn(Taking.FREELY)

    def _while_quorum_lacks(self) -> QuorumLostError | None:
        """The refusal of a write; None if the nodes are back: no tick is waited for."""
        lack = lack_of(self.machine)
        if lack:
            return refusal_for(lack)
        self.watch_quorum()
        return None

    async def retain(self) -> None:
        """Drop what retention no longer keeps, on the thread that appends."""
        try:
            await self._drop_old()
        except NexusError as error:
            # A full disk, say: the next tick tries again.
            log.warning("log_not_shortened", reason=str(error))

    async def _drop_old(self) -> None:
        database, wal = self._parts.database, self._parts.log
        floor = min(self.machine.retention_floor(), self._parts.archive_floor())

        def drop() -> int:
            # Only what the database file holds, synced, may leave the log.
            database.checkpoint()
            return wal.retain(min(floor, Offset(database.checkpointed_offset + 1)))

        if await self.manager.run(drop):
            self._port.retained(wal.first_offset)
            first = wal.first_offset
            while await self.manager.run(lambda: database.forget_answers_before(first)):
                pass

    def wait_as(self, mode: Mode) -> None:
        """Acknowledge in this mode from now on, in a reign that voters gave.

        From async to sync: before the entry that says so. Back: once that is committed.
        """
        assert self._commitment is not None, "voters' masters wait for their lease"
        self.mode = mode
        self._commitment.quorum = mode is Mode.SYNC
        self._parts.publisher.pace_s = pace_s(mode)

    def deposed_by(self, order: StepDown) -> None:
        """Take no more writes, and acknowledge none: a higher epoch was met."""
        if self._elected and self._commitment is not None:
            self._commitment.end(order.reason)
        url = order.master_addr or "an unknown address"
        told = (
            f"this node was deposed by epoch {order.epoch}; its master is at {url}: "
            "nothing happened, try again soon"
        )
        self._gate.turn(Taking.ENDED, lambda: NoMasterError(told))

    def hold_writes(self, why: str = HELD) -> None:
        """Take none until `take_writes`: another node is about to reign."""
        self._gate.turn(Taking.HELD, lambda: NoMasterError(why))

    def take_writes(self) -> None:
        """Undo `hold_writes`; whoever was deposed meanwhile, or stopped, stays so."""
        self._gate.turn(Taking.FREELY)

    def stop_writes(self, order: StopWrites) -> None:
        """Take no more writes: an operator is needed."""
        self._gate.turn(Taking.ENDED, lambda: WritesStoppedError(order.reason))

    async def send_snapshot(self, connection: Connection, order: SendSnapshot) -> None:
        """Carry out one SendSnapshot of this reign's machine."""
        parts = self._parts
        await parts.sender.send(
            connection,
            order,
            self._port,
            parts.publisher.perform,
            parts.state.cluster_id,
        )

    async def announce(
        self, former: str, heard: Callable[[Welcome | Error], None] | None = None
    ) -> None:
        """Tell a node of this reign, until it has heard it or the reign ends."""
        security = self._parts.port.security
        while self._parts.publisher.machine is self._port and not self._gate.is_over:
            hello = self.machine.announcement()
            try:
                answer = require_heard(
                    await answer_to(hello, former, security, timeout_s=ANNOUNCE_EVERY_S)
                )
            except (OSError, TimeoutError, NexusError):
                await asyncio.sleep(ANNOUNCE_EVERY_S)
                continue
            if heard is not None:
                heard(answer)
            else:
                effects = answered(answer, self.machine.history)
                self._parts.publisher.perform(effects)
            return


def _named(replica: str | None) -> NodeId | None:
    """The replica that an operator means; None for all of them."""
    return NodeId(replica) if replica else None
