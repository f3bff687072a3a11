"""Notice what would silently break the database's locks, and stop instead.

Two copies of SQLite in one process do not see each other's POSIX locks on a file, and
any plain close() of the file drops them all. A second SQLite that opens and closes the
database here deletes the `-wal` under us: commits that were acknowledged are gone after
a crash. So the `-wal` is checked at each commit, and a fork is refused.
"""

import fcntl
import os
import struct
import tempfile
from pathlib import Path
from typing import Final

from nexus.errors import (
    ForeignWriteError,
    ForkedError,
    SecondSQLiteError,
    StorageError,
)
from nexus.storage.sqlite.sighting import Sighting

_DESCRIPTORS: Final = Path("/proc/self/fd")


class Guard:
    """Watches one database file for one connection's owner."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._wal = f"{database}-wal"
        self._process_id = os.getpid()
        self._sighting: Sighting | None = None
        self._data_version = 0

    def watch(self, data_version: int) -> None:
        """Remember the `-wal` and the data version as they are now."""
        self.close()
        self._sighting = Sighting(self._wal)
        self._data_version = data_version

    def close(self) -> None:
        """Watch nothing more; again is harmless."""
        if self._sighting is not None:
            self._sighting.close()
            self._sighting = None

    def watch_version(self, data_version: int) -> None:
        """Remember the data version as it is now; the `-wal` must still be the same."""
        self._data_version = data_version

    @property
    def is_forked(self) -> bool:
        """Whether this is a child of the process that opened the database."""
        return os.getpid() != self._process_id

    def check_process(self) -> None:
        """Raise ForkedError in a child process; its locks are not the parent's."""
        if os.getpid() != self._process_id:
            raise ForkedError(
                f"{self._database} was opened by process {self._process_id} and used "
                f"after fork() in process {os.getpid()}; open the node in the child, "
                "after the fork"
            )

    def check_wal(self) -> None:
        """Raise SecondSQLiteError if the `-wal` is no longer the one we write."""
        if self._sighting is not None and not self._sighting.stands():
            replaced = Path(self._wal).exists()
            raise SecondSQLiteError(
                f"{self._wal} was {'replaced' if replaced else 'removed'} while this "
                "process had it open: another copy of SQLite in this process (usually "
                "the module sqlite3) opened and closed the database, or somebody "
                "deleted the file. What was committed is safe in the log; restart, and "
                "read the database in this process only through Nexus's connections"
            )

    def check_data_version(self, data_version: int) -> None:
        """Raise ForeignWriteError if another connection has written to the file.

        Or SecondSQLiteError: a `-wal` that was taken away changes the version too.
        """
        if data_version != self._data_version:
            self.check_wal()
            raise ForeignWriteError(
                f"somebody other than this node wrote to {self._database}: that change "
                "is in no log and on no replica. Writes stop here until an operator "
                "decides: make a new snapshot for the replicas, or restore one"
            )


def refuse_second_opener(database: Path) -> None:
    """Raise SecondSQLiteError if this process has the database open already."""
    try:
        wanted = database.stat()
        descriptors = list(_DESCRIPTORS.iterdir())
    except FileNotFoundError:
        return  # a new database, or a system without /proc
    for descriptor in descriptors:
        try:
            found = descriptor.stat()
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            raise SecondSQLiteError(
                f"this process has {database} open already, through another copy of "
                "SQLite or a plain open(); closing that drops the locks of this node. "
                "Close it first, and read through Nexus's connections instead"
            )


def require_locks(directory: Path) -> None:
    """Raise StorageError where the file system does not keep POSIX locks.

    Without them two processes can write to a database at once. Proven on a scratch
    file: a lock of the process must be in the way of a lock of an open file.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".lock-probe-") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_locked(file.name):
                raise StorageError(
                    f"{directory} is on a file system that forgets locks, so SQLite "
                    "cannot guard the database there; use a local disk"
                )
    except OSError as error:
        raise StorageError(
            f"{directory} cannot hold a database: a scratch file could not be locked "
            f"there ({error}); use a local disk with some free space"
        ) from error


def _is_locked(path: str) -> bool:
    set_lock = getattr(fcntl, "F_OFD_SETLK", None)
    if set_lock is None:
        return True  # this system cannot tell from within one process
    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with Path(path).open("r+b") as other:
        try:
            fcntl.fcntl(other, set_lock, wanted)
        except BlockingIOError:
            return True
    return False
