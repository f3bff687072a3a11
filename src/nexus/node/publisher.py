"""Drives replication/master.py: serves replicas, and carries out what it decides.

On a node that is no master each visitor is told so, with the address of the master that
this node knows.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog
from structlog.contextvars import bind_contextvars

from nexus.errors import LogGapError, NexusError
from nexus.model.entry import Record
from nexus.model.position import Offset
from nexus.node.clock import now_ms
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import proven_welcome
from nexus.node.network.port import Port, Visitor
from nexus.node.streaming.adapters import MasterAdapter
from nexus.node.streaming.framing import Framer
from nexus.node.streaming.relayadapter import RelayAdapter
from nexus.node.tasks import Tasks
from nexus.node.telemetry.events import EventLog
from nexus.protocol.calls import Attach
from nexus.protocol.messages import (
    VOTES,
    Error,
    ErrorCode,
    Hello,
    Ping,
    Welcome,
)
from nexus.replication.effects import (
    Close,
    CommitAdvanced,
    Effects,
    Peer,
    Report,
    Send,
    SendSnapshot,
    StepDown,
    StopWrites,
    Stream,
)
from nexus.replication.master import Master
from nexus.storage.log.cursor import LogCursor
from nexus.storage.wal import WriteAheadLog

STREAM_BYTES: Final = 1 << 20
"""Entries read from the log and sent in one go."""

SMALL_BYTES: Final = 16 << 10
"""A send of less is worth waiting for more, where nobody waits for it."""

INLINE_ENTRIES: Final = 1_024
"""So few are read from the page cache on the loop; more, in a thread."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Link:
    """One accepted connection."""

    peer: Peer
    connection: Connection
    hello: Hello
    challenge: bytes
    stream: Stream | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    cursor: LogCursor | None = None
    is_welcome: bool = False
    transfer: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class PublisherHooks:
    """What the publisher asks of its node."""

    visited: Callable[[Hello], Error]
    """A Hello while this node is no master: what to answer."""
    committed: Callable[[Offset], None]
    """A quorum holds every entry up to this offset."""
    step_down: Callable[[StepDown], None]
    stop_writes: Callable[[StopWrites], None]
    send_snapshot: Callable[[Connection, SendSnapshot], Coroutine[Any, Any, None]]
    votes: Callable[[Connection, Hello, bytes], Awaitable[None]]
    client: Callable[[Visitor], Awaitable[None]]
    """A client that is proven, where it must be: serve it until it goes."""
    events: EventLog


class Publisher:
    """Serves the log of one database to whoever comes for it."""

    def __init__(self, hooks: PublisherHooks, port: Port, *, database: str) -> None:
        """`port` hands over the visitors of `database`, from `start` to `stop`."""
        self.pace_s = 0.0
        """So much lies at least between two small sends to one replica."""
        self.machine: Master | MasterAdapter | RelayAdapter | None = None
        self._hooks = hooks
        self._port = port
        self._database = database
        self._links: dict[Peer, _Link] = {}
        self._numbers = itertools.count(1)
        self._tasks = Tasks()
        self._framer = Framer()

    def start(self, wal: WriteAheadLog) -> None:
        """Serve this log."""
        self._log = wal
        self._port.open_to(self._database, self._serve)

    async def stop(self) -> None:
        """Say goodbye to every visitor."""
        self._port.close_to(self._database)
        await self.retire("this node is stopping")
        await self._tasks.end()

    @property
    def rejected(self) -> int:
        """Peers turned away before a machine saw them."""
        return self._port.rejections.total()

    @property
    def link_count(self) -> int:
        """How many nodes are connected to this one."""
        return len(self._links)

    def reign(self, machine: Master | MasterAdapter | RelayAdapter) -> None:
        """From now on serve replicas as this machine decides."""
        self.machine = machine

    async def retire(self, reason: str) -> None:
        """This node is no master any more: end every connection."""
        self.machine = None
        links, self._links = list(self._links.values()), {}
        for link in links:
            self._end(link)
            await link.connection.refuse(ErrorCode.STOPPING, reason)

    @property
    def is_alone(self) -> bool:
        """Whether no replica is there; any thread may ask, after it has synced."""
        return not self._links

    def lacking(self, feature: str) -> list[str]:
        """The replicas here that do not say this of themselves."""
        hellos = [link.hello for link in self._links.values()]
        return [one.node_id for one in hellos if feature not in one.features]

    def stored(self, offset: Offset) -> None:
        """The log is durable up to `offset`, or further: this loop may be told late."""
        if self.machine is not None:
            durable = max(offset, self._log.durable_offset)
            self.perform(self.machine.stored(durable, now_ms()))

    def tick(self) -> None:
        """Heartbeats and dead peers."""
        if self.machine is not None:
            self.perform(self.machine.tick(now_ms()))

    def perform(self, effects: Effects) -> None:  # noqa: C901, PLR0912 - one arm each
        """Carry out effects, in order."""
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case Stream():
                    link = self._links.get(effect.peer)
                    if link is not None:
                        link.stream = effect
                        link.wake.set()
                case Close():
                    self._close(effect)
                case Report():
                    self._hooks.events.report(effect)
                case SendSnapshot():
                    self._start_transfer(effect)
                case StepDown():
                    self._hooks.step_down(effect)
                case StopWrites():
                    self._hooks.stop_writes(effect)
                case CommitAdvanced():
                    self._hooks.committed(effect.offset)
                case _:
                    raise AssertionError(f"{effect} is not the master's to ask for")

    async def _serve(self, visitor: Visitor) -> None:
        task = asyncio.current_task()
        assert task is not None, "a visitor is served by a task of the port"
        self._tasks.add(task)
        if self._database:
            bind_contextvars(database=self._database)
        await self._meet(visitor)

    async def _meet(self, visitor: Visitor) -> None:
        connection, hello = visitor.connection, visitor.hello
        if isinstance(hello, Attach):
            return await self._hooks.client(visitor)
        if VOTES in hello.features:
            return await self._hooks.votes(connection, hello, visitor.challenge)
        machine = self.machine
        if machine is None:
            connection.send(self._hooks.visited(hello))
            return None
        peer = Peer(f"{next(self._numbers)}:{connection.peer_address}")
        link = _Link(peer, connection, hello, visitor.challenge)
        self._links[peer] = link
        # Nobody told of syncs while nobody was here; from now on they are told.
        self.stored(self._log.durable_offset)
        connection.handshake_done()
        connection.keep_short()
        sender = asyncio.create_task(self._send_stream(link))
        try:
            self.perform(machine.hello(peer, hello, now_ms()))
            while peer in self._links:
                messages = await connection.receive()
                if not messages:
                    return None
                for message in messages:
                    self.perform(machine.receive(peer, message, now_ms()))
        finally:
            sender.cancel()
            if self.machine is machine:
                self.perform(machine.disconnected(peer, now_ms()))
            self._leave(link)

    async def _send_stream(self, link: _Link) -> None:
        """The link's sender: from the log's files to the socket."""
        while True:
            await link.wake.wait()
            link.wake.clear()
            stream, machine = link.stream, self.machine
            if stream is None or machine is None:
                continue
            try:
                records = await self._read(link, stream)
                frames = self._framer.frames(
                    records,
                    machine.history,
                    stream.commit_offset,
                    compress=link.connection.is_congested,
                )
                sent_bytes = 0
                for piece in frames:
                    # Where the line is slow, heartbeats get between two of them.
                    link.connection.send_bytes(piece)
                    await link.connection.drain()
                    sent_bytes += len(piece)
            except LogGapError:
                first = self._log.first_offset
                self.perform(machine.log_gap(link.peer, first, now_ms()))
                return
            except (OSError, NexusError) as error:
                log.warning("stream_ended", peer=link.peer, reason=str(error))
                await link.connection.close()
                return
            if self.pace_s and sent_bytes < SMALL_BYTES:
                # One client's entries come one by one: let some gather, or each costs
                # every node a wake-up, a sync and an acknowledgement of its own. All
                # senders wake at the same beats, to send the same frames.
                await asyncio.sleep(self.pace_s - time.monotonic() % self.pace_s)
            link.stream = None
            next_offset = Offset(records[-1].offset + 1) if records else stream.start
            self.perform(machine.streamed(link.peer, next_offset, sent_bytes, now_ms()))

    async def _read(self, link: _Link, stream: Stream) -> list[Record]:
        if link.cursor is None or link.cursor.offset != stream.start:
            if link.cursor is not None:
                link.cursor.close()
            link.cursor = self._log.cursor(stream.start)
        if stream.stop - stream.start <= INLINE_ENTRIES:
            return link.cursor.read(stream.stop, STREAM_BYTES)
        return await asyncio.to_thread(link.cursor.read, stream.stop, STREAM_BYTES)

    def _send(self, effect: Send) -> None:
        link = self._links.get(effect.peer)
        if link is None:
            return
        message = effect.message
        if isinstance(message, Welcome):
            proof = self._port.security.secret, link.hello.nonce, link.challenge
            message = proven_welcome(message, *proof)
            link.is_welcome = True
            self._hooks.events.info("replica_joined", f"{link.hello.node_id} follows")
        elif isinstance(message, Ping):
            # A delayed replica goes by the clock that the entries were written by.
            message = msgspec.structs.replace(message, clock_us=time.time_ns() // 1000)
        link.connection.send(message)

    def _close(self, effect: Close) -> None:
        link = self._links.pop(effect.peer, None)
        if link is None:
            return
        goodbye = Error(effect.code, effect.message, effect.epoch, effect.master_addr)
        seeks_master = effect.code is ErrorCode.NOT_MASTER  # as all do in an election
        tell = log.info if seeks_master else log.warning
        tell("replica_closed", peer=effect.peer, reason=effect.message)
        link.connection.send(goodbye)
        self._end(link)
        self._tasks.spawn(link.connection.close())

    def _start_transfer(self, effect: SendSnapshot) -> None:
        link = self._links.get(effect.peer)
        if link is not None:
            transfer = self._hooks.send_snapshot(link.connection, effect)
            link.transfer = self._tasks.spawn(transfer)

    def _leave(self, link: _Link) -> None:
        self._links.pop(link.peer, None)
        self._end(link)
        if link.is_welcome and self.machine is not None:
            self._hooks.events.info("replica_gone", f"{link.hello.node_id} has left")

    def _end(self, link: _Link) -> None:
        if link.cursor is not None:
            link.cursor.close()
            link.cursor = None
        if link.transfer is not None:
            link.transfer.cancel()
