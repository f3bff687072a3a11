"""Real parts for the tests of the node: a writer over its files, nodes on loopback."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nexus.config import Config, SecuritySettings, load
from nexus.errors import NexusError
from nexus.model.cluster import LinkState
from nexus.model.entry import Payload
from nexus.model.operation import Fingerprint, Reigned
from nexus.model.position import Epoch, HistoryId, Offset, Reign
from nexus.model.secret import Secret
from nexus.model.token import Token
from nexus.node.network.admittance import Admittance
from nexus.node.node import Node
from nexus.node.requests import SqlRequest, SqlResponse, SqlStatement
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Measures
from nexus.node.telemetry.shortage import Shortage
from nexus.node.transactions import TransactionManager
from nexus.node.writing.batch import Hooks
from nexus.node.writing.commitment import Commitment
from nexus.node.writing.work import Answer, Transaction
from nexus.node.writing.writer import BatchWriter
from nexus.storage.capturing.results import Statement
from nexus.storage.database import Database
from nexus.storage.wal import WalSettings, WriteAheadLog


def knowing(secret: str = "", *tokens: Token, require: bool = False) -> Admittance:
    """What lets in who knows this secret, or has one of these tokens."""
    config = Config(
        cluster_secret=Secret(secret), security=SecuritySettings(require_tokens=require)
    )
    known = {token.id: token for token in tokens}
    return Admittance(config, lambda: known)


PATIENCE_S: Final = 60.0
"""How long something that must happen may take on a busy machine."""

HEARTBEAT_MS: Final = 100

MISSED_HEARTBEATS: Final = 20

DEAD_TIME_S: Final = HEARTBEAT_MS * MISSED_HEARTBEATS / 1000
"""Long enough that nobody is thought dead while the machine is busy with others."""

REIGN: Final = Reign(Epoch(1), HistoryId("11aa22bb"), "me", Offset(1), 0, "start")

LIMIT_BYTES: Final = 1 << 20

READERS: Final = 3
"""Connections for reading that a desk lends."""


def wanted(*statements: str | tuple[str, Any], name: str = "") -> Transaction:
    """A transaction of these statements, with this id."""
    return Transaction(
        tuple(
            Statement(statement)
            if isinstance(statement, str)
            else Statement(*statement)
            for statement in statements
        ),
        name,
    )


@dataclass
class Desk:
    """A database, its log, and what a writer over them tells its node."""

    database: Database
    log: WriteAheadLog
    commitment: Commitment | None = None
    stored: list[Offset] = field(default_factory=list)
    applied: list[Offset] = field(default_factory=list)
    marks: list[Offset] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    failed: threading.Event = field(default_factory=threading.Event)
    events: EventLog = field(default_factory=EventLog)
    held_elsewhere: int = 0
    """Nodes besides this one that are said to hold every entry."""

    def hooks(self) -> Hooks:
        """What a writer calls."""
        return Hooks(
            stored=self.stored.append,
            written=lambda _: None,
            applied=self.applied.append,
            failed=self._fail,
            fingerprint=lambda _, offset: self.marks.append(offset),
            durable_on=lambda _: 1 + self.held_elsewhere,
            commitment=self.commitment,
            measures=Measures(),
            space=Shortage(self.events),
        )

    def writer(self) -> BatchWriter:
        """A batch writer whose reign has begun, for the test's own thread."""
        self.database.set_mode_capturing()
        writer = BatchWriter(
            self.database, self.log, self.hooks(), limit_bytes=LIMIT_BYTES
        )
        writer.reign = REIGN
        writer.write_operations((Reigned(REIGN),))
        return writer

    @contextmanager
    def manager(self) -> Iterator[TransactionManager]:
        """A manager whose reign has begun; stopped at the end."""
        manager = TransactionManager(
            self.database, self.log, self.hooks(), limit_bytes=LIMIT_BYTES
        )
        manager.start(REIGN, mode="async")
        try:
            yield manager
        finally:
            manager.stop()

    def entries(self) -> list[Payload]:
        """Everything that the log holds."""
        cursor = self.log.cursor(self.log.first_offset)
        try:
            records = cursor.read(Offset(self.log.last_offset + 1), 1 << 30)
        finally:
            cursor.close()
        return [record.decoded() for record in records]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a reader sees."""
        with self.database.reader() as reader:
            return reader.execute(sql).fetchall()

    def close(self) -> None:
        """Close both, as a clean stop does."""
        self.database.close()
        self.log.close()

    def _fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed.set()


def open_desk(directory: Path, commitment: Commitment | None = None) -> Desk:
    """A desk over the files in `directory`, made if there are none."""
    return Desk(
        Database.open(directory / "nexus.db", readers=READERS),
        WriteAheadLog.open(directory / "wal", WalSettings(segment_bytes=1 << 20)),
        commitment,
    )


def elsewhere(path: Path, sql: str) -> None:
    """Run a statement on a database in another process."""
    with _other_process(path, sql) as process:
        assert process.communicate(timeout=PATIENCE_S)[0] == b"done\n"


@contextmanager
def locked_elsewhere(path: Path) -> Iterator[None]:
    """Another process holds the lock for writing this database."""
    with _other_process(path, "begin immediate") as process:
        assert process.stdout is not None, "it is a pipe"
        assert process.stdout.readline() == b"done\n", "it cannot lock the database"
        yield


@contextmanager
def open_elsewhere(path: Path) -> Iterator[None]:
    """Another process has read this database, and keeps its connection."""
    with _other_process(path, "select count(*) from sqlite_schema") as process:
        assert process.stdout is not None, "it is a pipe"
        assert process.stdout.readline() == b"done\n"
        yield


@contextmanager
def _other_process(path: Path, *statements: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs these, says `done`, and ends with its standard input."""
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for sql in sys.argv[2:]:\n"
        "    connection.execute(sql)\n"
        "print('done', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process


def in_a_child(call: Callable[[], object]) -> str:
    """The name of the error that a call raises in a forked child, or `nothing`."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(int(PATIENCE_S))  # a call that waits for ever ends the child
        told = "nothing"
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            told = type(error).__name__
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


def mark(name: str = "mark") -> Fingerprint:
    """An operation of Nexus's own that changes no row."""
    return Fingerprint(name)


def outcome_of(call: Callable[[], Answer]) -> Answer | NexusError:
    """What a call returned or raised."""
    try:
        return call()
    except NexusError as error:
        return error


def settings(directory: Path, role: str = "master", **flags: Any) -> Config:
    """A node's settings: quick heartbeats, and a port of the system's choice.

    `flags` are keys with `__` for the dot.
    """
    given: dict[str, Any] = {
        "data_dir": str(directory),
        "replication.role": role,
        "replication.bind_addr": "127.0.0.1:0",
        "replication.heartbeat_ms": HEARTBEAT_MS,
        "replication.missed_heartbeats": MISSED_HEARTBEATS,
        "replication.connect_timeout_ms": 2_000,
    }
    given |= {name.replace("__", "."): value for name, value in flags.items()}
    return load(None, {}, given)


class Crowd:
    """Nodes in this process; all of them stop at the end."""

    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self._directory = directory
        self._stack = stack

    async def node(self, name: str, role: str = "master", **flags: Any) -> Node:
        """Start a node in its own directory."""
        node = Node(settings(self._directory / name, role, **flags))
        await node.start()
        self._stack.push_async_callback(node.stop)
        return node

    async def replica(self, name: str, master: Node, **flags: Any) -> Node:
        """Start a replica, and return once it streams."""
        flags.setdefault("replication__master_addr", address_of(master))
        node = await self.node(name, "replica", **flags)
        await until(
            lambda: (
                node.status().cluster_id and node.status().state is LinkState.STREAMING
            )
        )
        return node

    async def followed(self, *transactions: str) -> tuple[Node, Node]:
        """A master that has run these, and a replica that has applied them."""
        master = await self.node("master")
        replica = await self.replica("replica", master)
        for sql in transactions:
            await caught_up(replica, await run(master, sql))
        return master, replica


@asynccontextmanager
async def crowd_in(directory: Path) -> AsyncIterator[Crowd]:
    """A place for nodes."""
    async with AsyncExitStack() as stack:
        yield Crowd(directory, stack)


def address_of(node: Node) -> str:
    """Where other nodes reach it."""
    return node._parts.address


async def until(claim: Callable[[], object]) -> None:
    """Return once the claim holds; TimeoutError if it never does."""
    async with asyncio.timeout(PATIENCE_S):
        while not claim():  # noqa: ASYNC110 - states of a node have no event
            await asyncio.sleep(0.005)


async def run(node: Node, *statements: str, **fields: Any) -> SqlResponse:
    """One request, as POST /sql has it."""
    request = SqlRequest([SqlStatement(sql) for sql in statements], **fields)
    return await node.execute(request)


async def caught_up(replica: Node, response: SqlResponse) -> None:
    """Return once the replica holds what the response wrote."""
    await replica.wait_applied(Offset(response.offset), timeout_s=PATIENCE_S)


async def count(node: Node, table: str = "t") -> int:
    """How many rows the node's readers see."""
    response = await run(node, f"select count(*) from {table}")
    number: int = response.results[0].rows[0][0]
    return number
