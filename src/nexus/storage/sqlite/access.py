"""The database's file: whether one stands, its one writer and its many readers."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import apsw

from nexus.errors import DiskFullError, NoDatabaseError, StorageError
from nexus.storage.schema import columns, system
from nexus.storage.sqlite.connections import (
    ReaderPool,
    create,
    open_reader,
    open_writer,
    seize,
    stands,
    storage_error,
)
from nexus.storage.sqlite.functions import NO_FUNCTIONS, Functions
from nexus.storage.sqlite.guard import Guard, refuse_second_opener, require_locks
from nexus.storage.sqlite.onlooker import Onlooker
from nexus.storage.sqlite.permissions import Permissions

PAGE_SIZE: Final = 4096
ENCODING: Final = "UTF-8"
"""Of a new database, where no master says otherwise."""

_ENFORCEMENT: Final = (
    apsw.SQLITE_DBCONFIG_ENABLE_FKEY,
    apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER,
    apsw.SQLITE_DBCONFIG_DEFENSIVE,
)


class Access:
    """Opens the file, or waits until there is one; lends its connections."""

    def __init__(
        self, path: Path, *, readers: int = 8, functions: Functions = NO_FUNCTIONS
    ) -> None:
        """The database at `path`: there is one once `open_writer` has returned."""
        self.path = path
        self.permissions: Permissions
        """Of clients' statements on the writer."""
        self._writer: apsw.Connection | None = None
        self._readers = ReaderPool(path, readers, functions)
        self._functions = functions
        self._guard = Guard(path)
        self._onlooker = Onlooker(path)
        self._enforcing = True
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        page_size: int = PAGE_SIZE,
        encoding: str = ENCODING,
        readers: int = 8,
        functions: Functions = NO_FUNCTIONS,
    ) -> Self:
        """Open or create; page size and encoding count for a new file only.

        Raises SecondSQLiteError, StorageError.
        """
        access = cls(path, readers=readers, functions=functions)
        access.open_writer(page_size=page_size, encoding=encoding)
        return access

    @classmethod
    def expect(
        cls, path: Path, *, readers: int = 8, functions: Functions = NO_FUNCTIONS
    ) -> Self:
        """Open what stands there; where nothing does, wait for a master to say how.

        Raises SecondSQLiteError, StorageError.
        """
        if stands(path):
            return cls.open(path, readers=readers, functions=functions)
        return cls(path, readers=readers, functions=functions)

    def open_writer(
        self, *, page_size: int = PAGE_SIZE, encoding: str = ENCODING
    ) -> None:
        """Open, or create with this page size and encoding; durable on return.

        Raises SecondSQLiteError, StorageError.
        """
        require_locks(self.path.parent)
        refuse_second_opener(self.path)
        if not stands(self.path):
            self._create(page_size=page_size, encoding=encoding)
        self._take()

    @property
    def stands(self) -> bool:
        """Whether there is one: a new replica has none before its first entry."""
        return self._writer is not None

    @property
    def writer(self) -> apsw.Connection:
        """The connection that writes; raises NoDatabaseError where none stands."""
        if self._writer is None:
            raise NoDatabaseError(
                f"this node has no database yet: {self.path} comes with the first "
                "snapshot or entry of its master (on a witness never); read on another "
                "node, or try again"
            )
        return self._writer

    def set_mode_capturing(self) -> None:
        """A master's settings: foreign keys and triggers do their work.

        And shadow tables are written by their modules alone, which begin anew: what
        they remember of them is old, if entries were applied or taken back meanwhile.
        """
        self._enforcing = True
        self._set_enforcement()
        self.writer.execute("pragma writable_schema = reset")

    def set_mode_applying(self) -> None:
        """A replica's: the master's changes carry what keys and triggers did."""
        self._enforcing = False
        self._set_enforcement()

    def set_foreign_keys(self, *, enabled: bool) -> None:
        """For transactions to come; no effect inside one."""
        self.writer.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enabled))

    def require_own_process(self) -> None:
        """Raise ForkedError in a child of the process that opened the database."""
        self._guard.check_process()

    def reader(self) -> AbstractContextManager[apsw.Connection]:
        """A read-only connection of the pool.

        Raises ForkedError, NodeStoppedError, NoDatabaseError.
        """
        self.require_own_process()
        self.require()
        return self._readers.reader()

    def extra_reader(self) -> AbstractContextManager[apsw.Connection]:
        """A read-only connection beside the pool: nobody waits for who reads long."""
        self.require_own_process()
        self.require()
        return closing(open_reader(self.path, self._functions))

    def require(self) -> None:
        """Raise NoDatabaseError where none stands yet."""
        self.writer  # noqa: B018 - it raises

    @contextmanager
    def alone(self) -> Iterator[apsw.Connection]:
        """The writer, while nobody has the file open besides; afterwards a new one.

        Raises DatabaseBusyError where somebody has, with everything as it was.
        """
        with self._readers.emptied():
            self._onlooker.close()
            try:
                seize(self.writer, self.path)
                yield self.writer
            finally:
                self.writer.close(force=True)
                self._take()

    def close_readers(self) -> None:
        """End every query, also one that would last for ever; lend no more."""
        self._readers.close()

    def close(self) -> None:
        """Close readers and writer; what is committed is in the log or the file.

        In a child after fork() nothing is touched: the parent has it open.
        """
        if not self._closed and not self._guard.is_forked:
            self._closed = True
            self._readers.close()
            self._onlooker.close()
            self._guard.close()
            if self._writer is not None:
                self._writer.close(force=True)

    def _create(self, *, page_size: int, encoding: str) -> None:
        try:
            with closing(create(self.path, page_size, encoding)) as connection:
                system.create(connection)
        except apsw.Error as error:
            raise storage_error(f"cannot make {self.path}", error) from error

    def _take(self) -> None:
        writer = None
        try:
            writer = open_writer(self.path, self._functions)
            system.create(writer)
            columns.begin(writer)
            self._writer, self.permissions = writer, Permissions(writer)
            self._set_enforcement()
            self._guard.watch(self._data_version())
            self._taken()
        except apsw.Error as error:
            if writer is not None:
                writer.close(force=True)
            raise _unopened(self.path, error) from error

    def _taken(self) -> None:
        """Another connection writes from now on; it may have other content."""

    def _set_enforcement(self) -> None:
        if self._writer is not None:
            for setting in _ENFORCEMENT:
                self._writer.config(setting, int(self._enforcing))

    def _data_version(self) -> int:
        return self._number("pragma data_version")

    def _number(self, query: str) -> int:
        rows: list[Any] = self.writer.execute(query).fetchall()
        number: int = rows[0][0]
        return number


def _unopened(path: Path, error: apsw.Error) -> StorageError:
    """Why a database cannot be used, and what brings it back."""
    what = f"cannot open {path}"
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        return StorageError(
            f"{what}: {error}; keep this data directory aside. In an empty one a "
            "replica or voter takes everything from its master; a master without any "
            "comes back from a backup (nexus restore)"
        )
    if isinstance(error, apsw.IOError) and not shutil.disk_usage(path.parent).free:
        # SQLite says no more of the shared memory that it could not make.
        return DiskFullError(f"{what}: the disk is full; free some space")
    return storage_error(what, error)
