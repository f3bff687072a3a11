"""An existing database becomes a node's."""

import time
from pathlib import Path

import apsw

from nexus.errors import StorageError
from nexus.model.position import (
    IMPORT,
    Epoch,
    HistoryId,
    Offset,
    Position,
    Reign,
)
from nexus.storage.directory import DataDirectory, DirectoryLock
from nexus.storage.disk import storage_errors, sync_directory
from nexus.storage.identity import fresh_id
from nexus.storage.importing.findings import Report
from nexus.storage.importing.preflight import BUSY_TIMEOUT_MS, check
from nexus.storage.schema import system
from nexus.storage.sqlite.connections import require_version, storage_error
from nexus.storage.sqlite.functions import NO_FUNCTIONS, Functions


def import_database(
    source: Path, directory: DataDirectory, functions: Functions = NO_FUNCTIONS
) -> Report:
    """Copy `source` into an empty data directory, after the same check as `check`.

    SQLite makes the copy from one read snapshot: the source may be in use, and is not
    changed. Durable on return; a node started there begins with these rows. Raises
    StorageError, and then the directory holds no database.
    """
    require_version()
    report = check(source, functions)
    if not report.ok:
        changes = [f for f in report.findings if f.level == "change"]
        raise StorageError(
            f"{source} cannot be replicated as it is: {changes[0].table}: "
            f"{changes[0].what} ({len(changes)} in all); `nexus check {source}` lists "
            "the statements that change it"
        )
    directory.create()
    lock = DirectoryLock.acquire(directory)
    try:
        if directory.database.exists() or directory.catalog.exists():
            raise StorageError(
                f"{directory.root} holds a node already; name an empty directory"
            )
        _copy(source, directory.database, functions)
        with storage_errors(f"importing into {directory.root}"):
            for made in (directory.root, directory.root.absolute().parent):
                sync_directory(made)
    finally:
        lock.release()
    return report


def _copy(source: Path, target: Path, functions: Functions) -> None:
    """Copy beside the target, make it a node's, then rename: whole or not at all."""
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            reader.set_busy_timeout(BUSY_TIMEOUT_MS)
            functions.add_to(reader)
            reader.execute("vacuum into ?", (str(part),))
        finally:
            reader.close()
        copy = apsw.Connection(str(part))
        try:
            copy.pragma("synchronous", 3)
            system.create(copy)
            _begin_history(copy)
        finally:
            copy.close()
        part.rename(target)
    except apsw.Error as error:
        part.unlink(missing_ok=True)
        raise storage_error(f"{source} could not be copied", error) from error


def _begin_history(connection: apsw.Connection) -> None:
    """The rows stand at entry 1, which no log holds: a replica needs a snapshot.

    A log that began at entry 1 would promise an empty replica that its entries alone
    make this database.
    """
    reign = Reign(
        Epoch(1),
        HistoryId(fresh_id()),
        "",
        Offset(1),
        time.time_ns() // 1000,
        IMPORT,
    )
    with connection:
        system.write_reign(connection, reign)
        position = Position(reign.epoch, reign.first_offset, reign.history_id)
        system.write_position(connection, position)
