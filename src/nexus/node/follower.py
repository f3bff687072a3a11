"""Drives replication/replica.py: follows a master and carries out what it decides.

Entries that came together are synced together; applying them is the ApplyWorker's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from nexus.errors import ApplyError, DiskFullError, NexusError, ProtocolError
from nexus.model.cluster import LinkState
from nexus.model.entry import Record
from nexus.model.position import EpochHistory, Offset, Position
from nexus.node.clock import now_ms
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import introduce
from nexus.node.network.security import TransportSecurity
from nexus.node.streaming.adapters import ReplicaAdapter
from nexus.node.streaming.effectqueue import EffectQueue
from nexus.node.streaming.outlasting import stored_or_dropped
from nexus.node.streaming.screening import screened
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Histogram
from nexus.node.telemetry.shortage import Shortage
from nexus.node.telemetry.transitions import LinkEvents
from nexus.node.writing.worker import ApplyWorker
from nexus.protocol.messages import Error, ErrorCode, Hello, Message, WalEntry
from nexus.protocol.parts import EntryAssembler
from nexus.replication.effects import (
    MASTER,
    Adopt,
    Apply,
    Connect,
    Disconnect,
    Diverged,
    Install,
    Level,
    ReceiveSnapshot,
    Report,
    Rewind,
    Send,
    Store,
    StoreChunk,
)
from nexus.replication.members.effects import MemberEffect
from nexus.replication.replica import Replica
from nexus.storage.wal import WriteAheadLog

MOST_WAITING: Final = 4_096
"""Effects that may wait for the disk; then nothing more is read from the socket."""

MOST_CHUNKS: Final = 8
"""The same while a snapshot arrives, whose pieces are large."""


@dataclass(frozen=True, slots=True)
class FollowerHooks:
    """What the follower asks of its node."""

    adopt: Callable[[Adopt], Awaitable[None]]
    diverged: Callable[[Diverged], Awaitable[None]]
    rewind: Callable[[Rewind], Awaitable[None]]
    receive_snapshot: Callable[[ReceiveSnapshot], Awaitable[None]]
    store_chunk: Callable[[StoreChunk], Awaitable[None]]
    install: Callable[[Install], Awaitable[None]]
    failed: Callable[[BaseException], None]
    others: Callable[[MemberEffect], Awaitable[None]]
    """What only a voting node's member asks for."""
    events: EventLog
    log_sync: Histogram


class Follower:
    """One replica's link to its master."""

    def __init__(
        self,
        machine: Replica | ReplicaAdapter,
        wal: WriteAheadLog,
        worker: ApplyWorker,
        hooks: FollowerHooks,
        *,
        security: TransportSecurity,
        timeout_s: float,
    ) -> None:
        self.machine = machine
        self.bytes_received = 0
        self._received_before = 0
        self.last_error = ""
        self._link_events = LinkEvents(hooks.events)
        self._space, self._applying = Shortage(hooks.events), Shortage(hooks.events)
        self._log = wal
        self._worker = worker
        self._hooks = hooks
        self._security = security
        self._timeout_s = timeout_s
        self._queue = EffectQueue()
        self.take, self.drop = self._queue.take, self._queue.drop
        self._appending = asyncio.Lock()
        self._connection: Connection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._performer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look for the master and follow it until `stop`."""
        self._performer = asyncio.create_task(self._perform_all())
        self.take(self.machine.start())

    async def stop(self) -> None:
        """Leave the master; what was acknowledged is durable."""
        self.machine.stop()
        await self._hang_up()
        if self._performer is not None:
            self._performer.cancel()
            await asyncio.gather(self._performer, return_exceptions=True)

    @property
    def trouble(self) -> str:
        """What hinders it; empty: nothing, as far as it knows."""
        return self._space.reason or self._applying.reason or self.last_error

    @property
    def lacks_space(self) -> bool:
        """Whether something of it waits for space on the disk."""
        return bool(self._space.reason or self._applying.reason)

    def employ(self, worker: ApplyWorker) -> None:
        """From now on this thread applies."""
        self._worker = worker

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is being performed."""
        return self._queue.is_idle

    def tick(self) -> None:
        """Deadlines, heartbeats, reconnection."""
        self.take(self.machine.tick(now_ms()))

    def applied(self, position: Position) -> None:
        """The database stands at `position`."""
        self._applying.ends()
        self.take(self.machine.applied(position.offset, now_ms()))

    def conflicted(self, error: ApplyError) -> None:
        """An entry does not fit the rows here."""
        self.last_error = str(error)
        self.take(self.machine.apply_failed(str(error), now_ms()))

    def short(self, error: DiskFullError) -> None:
        """Nothing can be applied for want of space; it is tried until there is some."""
        self._applying.begins(error)

    def waits(self, reason: str) -> None:
        """A snapshot cannot be installed until others let go of the database."""
        self.last_error = reason
        self._hooks.events.warning("install_waits", reason)

    def installed(self, position: Position, history: EpochHistory) -> None:
        """The snapshot stands in the database, the log begins after it."""
        self.last_error = ""
        self._hooks.events.info("full_sync_done", f"it stands at {position}")
        self.take(self.machine.installed(position, history, now_ms()))

    def install_failed(self, reason: str) -> None:
        """The snapshot could not be used; database and log are as they were."""
        self.last_error = reason
        self.take(self.machine.install_failed(reason, now_ms()))

    async def retain(self, keep_from: Offset) -> int:
        """Drop the log's segments before `keep_from`, between two appends.

        Returns how many entries went with them.
        """
        async with self._appending:
            machine = self.machine
            if isinstance(machine, ReplicaAdapter):
                keep_from = min(keep_from, machine.retention_floor())
            dropped = await asyncio.to_thread(self._log.retain, keep_from)
            if isinstance(machine, ReplicaAdapter):
                machine.retained(self._log.first_offset)
            return dropped

    async def _perform_all(self) -> None:
        try:
            await self._queue.perform_all(
                self._store,
                lambda effect: self._with_space(partial(self._perform, effect)),
            )
        except Exception as error:  # noqa: BLE001 - it must reach the node
            self._hooks.failed(error)

    async def _store(self, first: Store) -> None:
        """Append this Store and its neighbours, sync once."""
        records: list[Record] = list(first.records)
        while (following := self._queue.next_if(Store)) is not None:
            records += following.records
        try:
            await self._append_all(records)
        except DiskFullError:
            # The master waits for this node's acknowledgement: it must hear of that.
            self.take(self.machine.lacks_space(now_ms()))
            append = partial(self._append_all, records)
            again = stored_or_dropped(
                append, self._log, self._space, self._queue, lambda: self.machine
            )
            await self._queue.meanwhile(again, self._perform)

    async def _append_all(self, records: list[Record]) -> None:
        async with self._appending:
            durable = await asyncio.to_thread(self._append, records)
        self.take(self.machine.stored(durable, now_ms()))

    async def _with_space(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; where the disk is full, again and again until there is space."""
        await self._space.outlast(work, unless=lambda: self._log.failed)

    def _append(self, records: list[Record]) -> Offset:
        began = time.monotonic()
        self._log.append(records, durably=True)
        durable = self._log.sync()
        self._hooks.log_sync.observe(time.monotonic() - began)
        self._worker.database.foresee(records)
        return durable

    async def _perform(self, effect: MemberEffect) -> None:  # noqa: C901, PLR0912 - one arm each
        match effect:
            case Send(peer=peer) if peer == MASTER:
                if self._connection is not None:
                    self._connection.send(effect.message)
            case Apply():
                self._worker.advance(effect.up_to)
            case Connect():
                await self._hang_up()
                self._reader = asyncio.create_task(self._follow(effect))
            case Disconnect():
                self.last_error = effect.reason
                self._link_events.ended(Level.INFO, effect.reason)
                await self._hang_up(effect)
            case Report():
                self._hooks.events.report(effect)
            case Adopt():
                self._link_events.welcomed(effect.welcome)
                await self._hooks.adopt(effect)
            case Diverged():
                await self._hooks.diverged(effect)
            case Rewind():
                await self._queue.meanwhile(self._hooks.rewind(effect), self._perform)
            case ReceiveSnapshot():
                await self._hooks.receive_snapshot(effect)
            case StoreChunk():
                await self._hooks.store_chunk(effect)
            case Install():
                work = self._hooks.install(effect)
                await self._queue.meanwhile(work, self._perform)
            case _:
                await self._hooks.others(effect)

    async def _follow(self, target: Connect) -> None:
        """Connect, introduce this node, read until the connection ends."""
        reason = "the master closed the connection"
        try:
            if target.delay_ms:
                await asyncio.sleep(target.delay_ms / 1000)
            connection = await self._security.dial(
                target.address, timeout_s=self._timeout_s
            )
            self._connection = connection
            if not await self._introduce(connection):
                return  # what the machine makes of the refusal ends the connection
            await self._read(connection)
        except TimeoutError:
            reason = f"{target.address} does not answer"
        except (OSError, NexusError) as error:
            reason = f"{target.address}: {error}"
            if isinstance(error, ProtocolError) and self._connection is not None:
                self._connection.send(Error(ErrorCode.MALFORMED, str(error)))
        self.last_error = reason
        self._link_events.ended(Level.WARNING, reason)
        await self._forget_connection()
        self._reader = None
        self.take(self.machine.disconnected(reason))

    async def _introduce(self, connection: Connection) -> bool:
        """Say Hello, where the machine does; False if the answer is a refusal."""
        refused = False
        effects = self.machine.connected_to_master(now_ms())
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.message, Hello):
                answer = await introduce(
                    connection,
                    effect.message,
                    self._security.secret,
                    timeout_s=self._timeout_s,
                )
                refused = isinstance(answer, Error)
                self.last_error = answer.message if isinstance(answer, Error) else ""
                self.take(self.machine.receive(answer, now_ms()))
            else:
                self.take((effect,))
        return not refused

    async def _read(self, connection: Connection) -> None:
        assembler = EntryAssembler()
        # A large entry on a slow line takes longer than a master may be silent.
        connection.grows = lambda size: self.machine.grows(size, now_ms())
        while True:
            messages = await connection.receive()
            if not messages:
                return
            self.bytes_received = self._received_before + connection.bytes_received
            self._hear(messages, assembler)
            full_sync = self.machine.state is LinkState.FULL_SYNC
            await self._queue.drains(MOST_CHUNKS if full_sync else MOST_WAITING)

    def _hear(self, messages: list[Message], assembler: EntryAssembler) -> None:
        """Entries that came together are one call; everything in its order."""
        entries: list[WalEntry] = []
        for message in messages:
            if isinstance(message, WalEntry):
                record = assembler.add(message)
                if record is not None:
                    entries.append(screened(message, record))
                else:
                    self.machine.grows(len(message.entry), now_ms())
                continue
            if entries:
                self.take(self.machine.receive_entries(entries, now_ms()))
                entries = []
            self.take(self.machine.receive(message, now_ms()))
        if entries:
            self.take(self.machine.receive_entries(entries, now_ms()))

    async def _hang_up(self, order: Disconnect | None = None) -> None:
        if order is not None and order.code is not None and self._connection:
            self._connection.send(Error(order.code, order.reason))
        reader, self._reader = self._reader, None
        if reader is not None and reader is not asyncio.current_task():
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        await self._forget_connection()

    async def _forget_connection(self) -> None:
        connection, self._connection = self._connection, None
        self._received_before = self.bytes_received
        if connection is not None:
            await connection.close()
