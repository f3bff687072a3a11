"""A node in the role of master, or standalone: one reign, its writer, its replicas."""

import asyncio
import time
import uuid
from typing import Final

import msgspec
import structlog

from nexus.errors import NexusError, NoMasterError, WritesStoppedError
from nexus.model.cluster import LinkState, MasterStats, Role
from nexus.model.operation import Fingerprint
from nexus.model.position import EpochHistory, Offset, Reign
from nexus.node.connection import Connection
from nexus.node.handshake import introduce
from nexus.node.parts import Parts
from nexus.node.publisher import now_ms
from nexus.node.report import DutyReport
from nexus.node.startup import PROMOTION_STEP, new_history_id, next_epoch, redo
from nexus.node.transactions import TransactionManager
from nexus.node.writer import Hooks
from nexus.replication.announcement import answered
from nexus.replication.effects import SendSnapshot, StepDown, StopWrites
from nexus.replication.master import Master
from nexus.replication.settings import LogExtent, MasterSettings

ANNOUNCE_EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)


class Reigning:
    """One reign of this node; `begin` it, and `leave` it for good."""

    def __init__(self, parts: Parts, machine: Master) -> None:
        self.machine = machine
        self._parts = parts
        self.manager = TransactionManager(
            parts.database,
            parts.log,
            Hooks(
                stored=parts.on_loop(parts.publisher.stored),
                applied=parts.on_loop(parts.milestones.passed),
                failed=parts.on_loop(parts.failed),
                fingerprint=parts.verifications.pin,
                durable_on=machine.durable_on,
            ),
            limit_bytes=parts.config.limits.transaction_bytes,
        )

    @classmethod
    async def begin(cls, parts: Parts, role: Role, why: str) -> "Reigning":
        """A new epoch and history, durable before they are used.

        Raises StorageError, and DiskFullError where the first entry has no room.
        """
        await asyncio.to_thread(redo, parts.standing)
        history = parts.database.history()
        step = 1 if why == "start" else PROMOTION_STEP
        reign = Reign(
            next_epoch(parts.standing.catalog, history, step=step),
            new_history_id(),
            parts.state.node_id,
            Offset(parts.log.last_offset + 1),
            time.time_ns() // 1000,
            why,
        )
        parts.standing.catalog.update(
            role=role,
            epoch=reign.epoch,
            history_id=reign.history_id,
            cluster_id=parts.state.cluster_id or uuid.uuid4().hex[:16],
            master_addr="",
        )
        reigning = cls(parts, _machine(parts, history.begun(reign)))
        parts.publisher.reign(reigning.machine)
        mode = parts.config.replication.mode
        await asyncio.to_thread(reigning.manager.start, reign, mode=mode)
        log.info("reign_began", epoch=reign.epoch, why=why, offset=reign.first_offset)
        return reigning

    async def leave(self) -> None:
        """Answer the batch at hand and end the writer; the database has no owner."""
        await asyncio.to_thread(self.manager.stop)

    def report(self) -> DutyReport:
        """How this role fares."""
        replicas = self.machine.replicas(now_ms())
        gone = LinkState.RECONNECTING
        return DutyReport(
            connected=bool(replicas),
            commit_offset=self._parts.log.durable_offset,
            replica_count=sum(replica.state is not gone for replica in replicas),
            master_id=self._parts.state.node_id,
            master_url=self._parts.http_url,
            state=LinkState.STREAMING,
            paused=self.machine.paused,
        )

    def stats(self) -> MasterStats:
        """GET /replication/master/stats."""
        stats = self.machine.stats(now_ms())
        return msgspec.structs.replace(stats, log_size=self._parts.log.entry_count)

    @property
    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        return self.machine.history

    def pause(self, replica: str | None) -> None:
        """Stream no more, to one replica or to all."""
        self._parts.publisher.perform(self.machine.pause(replica or None))  # type: ignore[arg-type]  # a NodeId by name

    def resume(self, replica: str | None) -> None:
        """Undo `pause`."""
        effects = self.machine.resume(replica or None, now_ms())  # type: ignore[arg-type]  # a NodeId by name
        self._parts.publisher.perform(effects)

    async def mark(self) -> Offset:
        """Log a mark at which every node hashes its tables."""
        return await self.manager.mark(Fingerprint(uuid.uuid4().hex[:8]))

    def tick(self) -> None:
        """Heartbeats and dead peers."""
        self._parts.publisher.tick()

    async def retain(self) -> None:
        """Drop what retention no longer keeps, on the thread that appends."""
        database, wal = self._parts.database, self._parts.log
        floor = self.machine.retention_floor()

        def drop() -> int:
            # Only what the database file holds, synced, may leave the log.
            database.checkpoint()
            return wal.retain(min(floor, Offset(database.checkpointed_offset + 1)))

        if await self.manager.run(drop):
            self.machine.retained(wal.first_offset)
            first = wal.first_offset
            while await self.manager.run(lambda: database.forget_answers_before(first)):
                pass

    def deposed_by(self, order: StepDown) -> None:
        """Take no more writes: a higher epoch was met."""
        url = order.master_addr or "an unknown address"
        self.manager.refuse_writes(
            lambda: NoMasterError(
                f"this node was deposed by epoch {order.epoch}; its master is at "
                f"{url}: nothing happened, try again soon"
            )
        )

    def stop_writes(self, order: StopWrites) -> None:
        """Take no more writes: an operator is needed."""
        self.manager.refuse_writes(lambda: WritesStoppedError(order.reason))

    async def send_snapshot(self, connection: Connection, order: SendSnapshot) -> None:
        """Carry out one SendSnapshot of this reign's machine."""
        parts = self._parts
        await parts.sender.send(
            connection,
            order,
            self.machine,
            parts.publisher.perform,
            parts.state.cluster_id,
        )

    async def announce(self, former: str) -> None:
        """Tell the former master of this reign, until it answers or the reign ends."""
        secret = self._parts.config.cluster_secret
        while self._parts.publisher.machine is self.machine:
            hello = self.machine.announcement()
            try:
                connection = await Connection.open(former, timeout_s=ANNOUNCE_EVERY_S)
                try:
                    answer = await introduce(
                        connection, hello, secret, timeout_s=ANNOUNCE_EVERY_S
                    )
                finally:
                    await connection.close()
            except (OSError, TimeoutError, NexusError):
                await asyncio.sleep(ANNOUNCE_EVERY_S)
                continue
            self._parts.publisher.perform(answered(answer, self.machine.history))
            return


def _machine(parts: Parts, history: EpochHistory) -> Master:
    settings = parts.config.replication
    return Master(
        parts.identity(),
        MasterSettings(
            heartbeat_ms=settings.heartbeat_ms,
            missed_heartbeats=settings.missed_heartbeats,
            max_transfers=parts.config.snapshot.max_transfers,
            pin_entries=4 * settings.max_log_size,
        ),
        history,
        LogExtent(parts.log.first_offset, parts.log.durable_offset),
        now_ms(),
    )
