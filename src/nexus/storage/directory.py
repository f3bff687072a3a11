"""A node's data directory: where everything lies, and that one process owns it."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nexus.errors import DataDirectoryLockedError, StorageError
from nexus.storage.disk import storage_errors


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The names in one data directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The database that users read."""
        return self.root / "nexus.db"

    @property
    def catalog(self) -> Path:
        """Identity, role and epoch."""
        return self.root / "catalog.db"

    @property
    def catalog_journal(self) -> Path:
        """SQLite's, kept between changes: a full disk has room for the next one."""
        return self.root / "catalog.db-journal"

    @property
    def wal(self) -> Path:
        """The log's segments."""
        return self.root / "wal"

    @property
    def snapshots(self) -> Path:
        """Archives and their manifests."""
        return self.root / "snapshots"

    @property
    def diverged(self) -> Path:
        """What was taken back."""
        return self.root / "diverged"

    @property
    def restoring(self) -> Path:
        """There while a backup is brought back into a directory that stands."""
        return self.root / "restoring"

    @property
    def lock(self) -> Path:
        """Held by the process that owns the directory."""
        return self.root / "lock"

    def create(self) -> None:
        """Make what is missing; raises StorageError where that is not allowed."""
        try:
            for path in (self.root, self.wal, self.snapshots, self.diverged):
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot use {self.root} as data directory: {error.strerror} "
                f"({error.filename}); name another with --data-dir or mend its rights"
            ) from error


class DirectoryLock:
    """One process per data directory; the system frees it when the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._owner = os.getpid()

    @classmethod
    def acquire(cls, directory: DataDirectory) -> Self:
        """Take the lock; raises DataDirectoryLockedError naming who holds it.

        Or StorageError where there can be none.
        """
        try:
            descriptor = os.open(directory.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(
                f"cannot write in {directory.root}: {error.strerror}; mend its rights "
                "or name another directory with --data-dir"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.read(descriptor, 32).decode(errors="replace")
            holder = told.partition("\n")[0].strip()
            os.close(descriptor)
            raise DataDirectoryLockedError(
                f"{directory.root} is in use by process {holder or 'unknown'}; stop it "
                "first, or name another directory"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise StorageError(
                f"{directory.root} cannot be locked: {error.strerror}; Nexus needs a "
                "local disk"
            ) from error
        lock = cls(descriptor)
        try:
            with storage_errors(f"writing {directory.lock}"):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except StorageError:
            lock.release()
            raise
        return lock

    def publish(self, address: str) -> None:
        """Say in the file where the node takes calls: `nexus.client` reads it there.

        As it stands in a URL: with the database's name where it is not the main one.
        """
        with storage_errors("writing the lock's file"):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n{address}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have the directory."""
        if os.getpid() == self._owner:
            # A process that is just being started has the descriptor for a moment too.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
