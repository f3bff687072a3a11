"""Connections to one database: how the writer's and the readers' are set up."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

import apsw

from nexus.errors import (
    AnswerTooLargeError,
    DatabaseBusyError,
    DiskFullError,
    NodeStoppedError,
    StorageError,
)
from nexus.storage.sqlite.functions import NO_FUNCTIONS, Functions

LEAST_SQLITE: Final = 3_054_001
"""Before 3.51.3 a checkpoint can race a write; before 3.54.1 applying a changeset that
swaps unique values fails."""

BUSY_TIMEOUT_MS: Final = 5_000

INTERRUPT_EVERY_S: Final = 0.05
"""Once readers are closed: who was about to begin a query has not met the first one."""

_FULL, _NORMAL = 2, 1  # PRAGMA synchronous


def stands(path: Path) -> bool:
    """Whether there is a database; an empty file is none yet."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def create(path: Path, page_size: int, encoding: str) -> apsw.Connection:
    """A connection whose first transaction makes the database: whole, or not at all."""
    require_version()
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("page_size", page_size)
    connection.pragma("encoding", encoding)
    return connection


def open_writer(path: Path, functions: Functions = NO_FUNCTIONS) -> apsw.Connection:
    """The one connection that writes."""
    require_version()
    connection = apsw.Connection(str(path), statementcachesize=256)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    if connection.pragma("journal_mode", "wal") != "wal":
        raise StorageError(
            f"{path} cannot use a write-ahead log; is it on a network file system? "
            "Nexus needs a local disk"
        )
    connection.pragma("synchronous", _NORMAL)  # the node's own log is synced before
    # macOS has a drive write what it keeps in its own cache only when told so.
    connection.pragma("fullfsync", 1)
    connection.pragma("checkpoint_fullfsync", 1)
    connection.pragma("wal_autocheckpoint", 0)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    functions.add_to(connection)
    return connection


@contextmanager
def synced_commits(writer: apsw.Connection) -> Iterator[None]:
    """What commits within is on the disk, though no log of the node's holds it."""
    writer.execute(f"pragma synchronous = {_FULL}")
    try:
        yield
    finally:
        writer.execute(f"pragma synchronous = {_NORMAL}")


def open_reader(path: Path, functions: Functions = NO_FUNCTIONS) -> apsw.Connection:
    """A connection that cannot write."""
    connection = apsw.Connection(str(path), statementcachesize=128)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("query_only", 1)
    connection.pragma("wal_autocheckpoint", 0)
    functions.add_to(connection)
    return connection


def seize(writer: apsw.Connection, path: Path) -> None:
    """Have the file alone until the connection is closed; it is then in no WAL mode.

    Every connection that has read holds a lock from then on, idle or not, in whatever
    process. Raises DatabaseBusyError where there is one.
    """
    writer.pragma("locking_mode", "exclusive")
    try:
        mode = writer.pragma("journal_mode", "delete")
    except apsw.BusyError:
        mode = ""
    if mode != "delete":
        raise DatabaseBusyError(
            f"other connections have {path} open, and SQLite cannot change the "
            "encoding under them: close them, or end the processes that `fuser "
            f"{path}` names; this is tried again until they are gone"
        )


Column = tuple[str, str | None]
"""A column's name, and the type that its table declares."""


def fetch(
    connection: apsw.Connection, sql: str, params: Any = (), *, most_bytes: int = 0
) -> tuple[list[Column], list[tuple[Any, ...]]]:
    """The columns and all rows of a query; columns also when there are no rows.

    Raises AnswerTooLargeError where the rows take more than `most_bytes` (0: any).
    """
    cursor = connection.cursor()
    try:
        columns = execute(cursor, sql, params)
        rows = all_rows(cursor, most_bytes)
    finally:
        cursor.close(force=True)  # half read, it would keep its snapshot
    return columns, rows


READ_SCHEMA: Final = "select 1 from sqlite_schema limit 0"
"""PRAGMAs that tell of the schema answer from memory, however old: SQLite looks whether
it still is so only where a statement begins to read the file."""


def execute(cursor: apsw.Cursor, sql: str, params: Any) -> list[Column]:
    """Run a statement up to its first row; returns its columns.

    They are known for certain once it has begun: a statement that was compiled before
    the schema changed is compiled anew by its first step.
    """
    if "pragma" in sql.lower():
        cursor.execute(READ_SCHEMA)
    cursor.execute(sql, params)
    try:
        return list(cursor.get_description())
    except apsw.ExecutionCompleteError:
        return _columns_of(cursor.connection, sql, params)


def _columns_of(connection: apsw.Connection, sql: str, params: Any) -> list[Column]:
    """The columns of a statement that gave no row, and so has forgotten them."""
    columns: list[Column] = []

    def read(cursor: apsw.Cursor, _: str, __: Any) -> bool:
        columns[:] = cursor.get_description()
        return False

    cursor = connection.cursor()
    cursor.exec_trace = read
    with suppress(apsw.ExecTraceAbort):
        cursor.execute(sql, params)
    return columns


def all_rows(cursor: apsw.Cursor, most_bytes: int) -> list[tuple[Any, ...]]:
    """The rows that are left; AnswerTooLargeError where they are too many."""
    if not most_bytes:
        return cursor.fetchall()
    rows: list[tuple[Any, ...]] = []
    size = 0
    while piece := list(islice(cursor, _ROWS_AT_ONCE)):
        rows += piece
        size += sum(map(size_of, piece))
        if size > most_bytes:
            raise AnswerTooLargeError(
                f"the rows take more than {most_bytes} bytes; ask for fewer of them, "
                "or for some at a time"
            )
    return rows


def size_of(row: tuple[Any, ...]) -> int:
    """About what a row takes in an answer."""
    size = 8 * len(row)
    for value in row:
        if isinstance(value, str | bytes):
            size += len(value)
    return size


_ROWS_AT_ONCE: Final = 64


def require_version() -> None:
    """Raise StorageError for a SQLite that is known to corrupt or misapply."""
    if apsw.SQLITE_VERSION_NUMBER < LEAST_SQLITE:
        raise StorageError(
            f"SQLite {apsw.sqlite_lib_version()} is too old: Nexus needs 3.54.1; "
            "pip install --upgrade apsw"
        )


def storage_error(what: str, error: apsw.Error) -> StorageError:
    """SQLite's error as one of ours, with its message."""
    if isinstance(error, apsw.FullError):
        return DiskFullError(f"{what}: the disk is full; free some space")
    return StorageError(f"{what}: {error}")


class ReaderPool:
    """At most `size` read-only connections, made when first needed."""

    def __init__(
        self, path: Path, size: int, functions: Functions = NO_FUNCTIONS
    ) -> None:
        self._path = path
        self._size = size
        self._functions = functions
        self._idle: queue.LifoQueue[apsw.Connection | None] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._lent: set[apsw.Connection] = set()
        self._closed = False
        for _ in range(size):
            self._idle.put(None)

    @contextmanager
    def reader(self) -> Iterator[apsw.Connection]:
        """Lend a reader; waits while all are lent. NodeStoppedError once closed."""
        connection = self._idle.get()
        try:
            if connection is None and not self._closed:
                connection = open_reader(self._path, self._functions)
            with self._lock:
                if self._closed or connection is None:
                    raise NodeStoppedError("this node is stopping; read on another one")
                self._lent.add(connection)
            yield connection
        finally:
            with self._lock:
                if connection is not None:
                    self._lent.discard(connection)
                if self._closed and connection is not None:
                    connection.close(force=True)
                    connection = None
                self._idle.put(connection)

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """No reader is open as long as the context lives; who wants one waits.

        Raises DatabaseBusyError where a query does not end for BUSY_TIMEOUT_MS.
        """
        deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        taken: list[apsw.Connection | None] = []
        try:
            while len(taken) < self._size:
                left = max(0.0, deadline - time.monotonic())
                taken.append(self._idle.get(timeout=left))
            for connection in taken:
                if connection is not None:
                    connection.close()
            taken = [None] * self._size
            yield
        except queue.Empty:
            raise DatabaseBusyError(
                f"a query on {self._path} does not end; it is waited for"
            ) from None
        finally:
            for connection in taken:
                self._idle.put(connection)

    def close(self) -> None:
        """Close every reader; one that is lent is interrupted, and closed on return."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle = [self._idle.get_nowait() for _ in range(self._idle.qsize())]
            for connection in idle:
                if connection is not None:
                    connection.close(force=True)
                self._idle.put(None)  # whoever waits is to be told
        if self._interrupts():
            threading.Thread(
                target=self._insists, name="nexus-readers-end", daemon=True
            ).start()

    def _insists(self) -> None:
        """Interrupt until every reader is back."""
        while self._interrupts():
            time.sleep(INTERRUPT_EVERY_S)

    def _interrupts(self) -> bool:
        """End the queries that run; whether readers are lent."""
        with self._lock:
            for connection in self._lent:
                connection.interrupt()
            return bool(self._lent)
