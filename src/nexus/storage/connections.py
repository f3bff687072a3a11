"""Connections to one database: how the writer's and the readers' are set up."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from nexus.errors import NodeStoppedError, StorageError

LEAST_SQLITE: Final = 3_054_001
"""Before 3.51.3 a checkpoint can race a write; before 3.54.1 applying a changeset that
swaps unique values fails."""

BUSY_TIMEOUT_MS: Final = 5_000


def open_writer(path: Path, *, page_size: int, encoding: str) -> apsw.Connection:
    """The one connection that writes; page size and encoding count for a new file."""
    require_version()
    connection = apsw.Connection(str(path), statementcachesize=256)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute(f"pragma page_size = {int(page_size)}")
    connection.execute(f"pragma encoding = '{encoding}'")
    if connection.pragma("journal_mode", "wal") != "wal":
        raise StorageError(
            f"{path} cannot use a write-ahead log; is it on a network file system? "
            "Nexus needs a local disk"
        )
    connection.pragma("synchronous", 1)  # the node's own log is synced before
    connection.pragma("wal_autocheckpoint", 0)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """A connection that cannot write."""
    connection = apsw.Connection(str(path), statementcachesize=128)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("query_only", 1)
    connection.pragma("wal_autocheckpoint", 0)
    return connection


def require_version() -> None:
    """Raise StorageError for a SQLite that is known to corrupt or misapply."""
    if apsw.SQLITE_VERSION_NUMBER < LEAST_SQLITE:
        raise StorageError(
            f"SQLite {apsw.sqlite_lib_version()} is too old: Nexus needs 3.54.1; "
            "pip install --upgrade apsw"
        )


class ReaderPool:
    """At most `size` read-only connections, made when first needed."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._idle: queue.LifoQueue[apsw.Connection | None] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._all: list[apsw.Connection] = []
        self._closed = False
        for _ in range(size):
            self._idle.put(None)

    @contextmanager
    def reader(self) -> Iterator[apsw.Connection]:
        """Lend a reader; waits while all are lent. NodeStoppedError once closed."""
        connection = self._idle.get()
        try:
            if self._closed:
                raise NodeStoppedError("this node is stopping; read on another one")
            if connection is None:
                connection = open_reader(self._path)
                with self._lock:
                    self._all.append(connection)
            yield connection
        finally:
            self._idle.put(connection)

    def close(self) -> None:
        """Close every reader; those that are lent are interrupted first."""
        self._closed = True
        with self._lock:
            for connection in self._all:
                connection.interrupt()
                connection.close(force=True)
            self._all.clear()
