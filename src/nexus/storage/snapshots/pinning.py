"""Freeze the database file while writes go on, so that another process can copy it.

A reader that begins right after a complete checkpoint uses the file alone, and holds
the lock WAL_READ_LOCK(0), which every later checkpoint needs: commits go to the `-wal`,
and no process touches the file (https://www.sqlite.org/walformat.html). It is done with
connections of its own, so any thread may call it, whatever the writer is doing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from nexus.model.position import Position
from nexus.storage.schema import system

WAIT_MS: Final = 2_000
"""For the end of the writer's transaction; a long one has the copy made otherwise."""

_POLL_S: Final = 0.0005
"""Between two batches the writer's lock is free for a moment only."""

_CHECKPOINT_TRIES: Final = 200
"""Enough for a checkpoint of some megabytes by somebody else to end."""


@dataclass(frozen=True, slots=True)
class FrozenFile:
    """A database file that holds exactly one snapshot while its pin lives."""

    path: Path
    position: Position
    page_count: int
    page_size: int
    encoding: str


@contextmanager
def pin_for_copy(path: Path, *, wait_ms: int = WAIT_MS) -> Iterator[FrozenFile | None]:
    """Freeze the file for as long as the context lives.

    None when it cannot be had: a reader elsewhere keeps the checkpoint from completing,
    or the writer's transaction outlasts `wait_ms`. The file is not opened other than
    by SQLite. Raises apsw.Error.
    """
    pin = _connect(path)
    try:
        yield describe(pin, path) if _pinned(pin, path, wait_ms) else None
    finally:
        pin.close(force=True)


def describe(connection: apsw.Connection, path: Path) -> FrozenFile:
    """What a connection in a read transaction sees."""
    return FrozenFile(
        path,
        system.read_position(connection),
        connection.pragma("page_count"),
        connection.pragma("page_size"),
        connection.pragma("encoding"),
    )


def _pinned(pin: apsw.Connection, path: Path, wait_ms: int) -> bool:
    """Begin a read transaction that uses the file alone; False if it cannot be had."""
    gate = _connect(path)
    try:
        # What the writer must not wait for is moved before it is held back.
        _checkpoint(pin)
        polls = int(wait_ms / 1000 / _POLL_S)
        gate.set_busy_handler(lambda count: _nap() and count < polls)
        try:
            # No commit, and so no checkpoint with work to do, comes between the
            # complete checkpoint and the reader: that proves which lock it holds.
            gate.execute("begin immediate")
        except apsw.BusyError:
            return False
        if not _checkpoint(pin):
            return False
        pin.execute("begin; select 1 from sqlite_schema limit 1").fetchall()
        return True
    finally:
        gate.close(force=True)


def _nap() -> bool:
    time.sleep(_POLL_S)
    return True


def _checkpoint(connection: apsw.Connection) -> bool:
    """Move what can be moved without blocking anybody; whether that was all."""
    for _ in range(_CHECKPOINT_TRIES):
        try:
            in_log, moved = connection.wal_checkpoint(
                mode=apsw.SQLITE_CHECKPOINT_PASSIVE
            )
        except apsw.BusyError:
            _nap()  # another connection's checkpoint is running
            continue
        assert in_log >= 0, "the connection has opened the -wal"
        return in_log == moved
    return False


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("wal_autocheckpoint", 0)
    # A connection that has read nothing has not opened the `-wal` either: its
    # checkpoint would move nothing and call that complete.
    connection.execute("select 1 from sqlite_schema limit 1").fetchall()
    return connection
