"""One writer, many readers; the applied position is stored inside the database.

The file is an ordinary SQLite database in WAL mode. Any process may read it with plain
SQLite; only its node writes.
"""

from contextlib import AbstractContextManager, closing, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import apsw

from nexus.errors import (
    DatabaseBusyError,
    DiskFullError,
    RefusedStatementError,
    StorageError,
)
from nexus.model.position import EpochHistory, Offset, Position, Reign
from nexus.storage import system
from nexus.storage.connections import (
    BUSY_TIMEOUT_MS,
    ReaderPool,
    open_reader,
    open_writer,
)
from nexus.storage.guard import Guard, refuse_second_opener, require_locks
from nexus.storage.permissions import Permissions
from nexus.storage.tables import read_tables

CHECKPOINT_PAGES: Final = 1_000
"""Pages in the `-wal` that make a checkpoint due; SQLite's own default."""

ANSWERS_FORGOTTEN: Final = 2_000
"""Answers to idempotency keys that one transaction drops."""

LOCAL_TABLES: Final = ("sqlite_stat1", "sqlite_stat3", "sqlite_stat4")
"""What ANALYZE keeps: each node's own matter."""


class Database:
    """The node's database; the writer's methods are for one thread at a time."""

    def __init__(self, path: Path, writer: apsw.Connection, *, readers: int) -> None:
        self.path = path
        self.writer = writer
        self.permissions = Permissions(writer)
        self._readers = ReaderPool(path, readers)
        self._guard = Guard(path)
        self._position = system.read_position(writer)
        self._checkpointed = Offset(0)
        self._schema_hash = (-1, b"")
        self._wal_pages = 0
        self._closed = False
        writer.set_wal_hook(self._count_pages)
        self._guard.watch(self._data_version())

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        page_size: int = 4096,
        encoding: str = "UTF-8",
        readers: int = 8,
    ) -> "Database":
        """Open or create; page size and encoding count for a new file only.

        Raises SecondSQLiteError, StorageError.
        """
        require_locks(path.parent)
        refuse_second_opener(path)
        writer = None
        try:
            writer = open_writer(path, page_size=page_size, encoding=encoding)
            system.create(writer)
            return cls(path, writer, readers=readers)
        except apsw.Error as error:
            if writer is not None:
                writer.close()
            raise storage_error(f"cannot open {path}", error) from error

    @property
    def position(self) -> Position:
        """The last entry that is applied and committed."""
        return self._position

    @property
    def checkpointed_offset(self) -> Offset:
        """Entries up to here are synced in the database file itself."""
        return self._checkpointed

    @property
    def wal_pages(self) -> int:
        """Pages in the `-wal` since it was last begun anew."""
        return self._wal_pages

    @property
    def page_size(self) -> int:
        """Bytes a page."""
        size: int = self.writer.pragma("page_size")
        return size

    @property
    def encoding(self) -> str:
        """The encoding of text, as `PRAGMA encoding` names it."""
        encoding: str = self.writer.pragma("encoding")
        return encoding

    def history(self) -> EpochHistory:
        """All reigns up to the applied position."""
        return system.read_history(self.writer)

    def set_mode_capturing(self) -> None:
        """A master's settings: foreign keys and triggers do their work.

        And shadow tables are written by their modules alone.
        """
        self._set_enforcement(enabled=True)

    def set_mode_applying(self) -> None:
        """A replica's: the master's changes carry what keys and triggers did."""
        self._set_enforcement(enabled=False)

    def set_foreign_keys(self, *, enabled: bool) -> None:
        """For transactions to come; no effect inside one."""
        self.writer.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enabled))

    def begin(self) -> None:
        """Open the writer's transaction.

        Raises ForeignWriteError, ForkedError, StorageError, and DatabaseBusyError if
        another process holds the lock for writing for BUSY_TIMEOUT_MS.
        """
        self.require_own_process()
        try:
            self.writer.execute("begin immediate")
        except apsw.BusyError as error:
            raise DatabaseBusyError(
                f"another process holds the lock for writing {self.path}; only its "
                "node may write to it: end that process, or its transaction; nothing "
                "happened here, try again then"
            ) from error
        except apsw.Error as error:
            raise storage_error("SQLite could not begin", error) from error
        try:
            self._guard.check_data_version(self._data_version())
        except BaseException:
            self.writer.execute("rollback")  # and not forget what was found
            raise

    def commit(self, position: Position | None) -> None:
        """Commit, the applied position with the rows; None leaves the position.

        Afterwards the `-wal` is proven to be the one that was written: raises
        SecondSQLiteError if it is not. StorageError when SQLite cannot commit, or says
        that it did and did not.
        """
        try:
            if position is not None:
                system.write_position(self.writer, position)
            self.writer.execute("commit")
        except apsw.Error as error:
            raise storage_error("SQLite could not commit", error) from error
        if self.writer.txn_state("main") == apsw.SQLITE_TXN_WRITE:
            raise StorageError(
                "SQLite said that it committed, and left its transaction open; what "
                "was written is safe in the log: start this node again"
            )
        self._guard.check_wal()
        if position is not None:
            self._position = position

    def rollback(self) -> None:
        """Take the open transaction back; harmless when SQLite did so already."""
        if self.writer.in_transaction:
            self.writer.execute("rollback")
        # A commit that fails for want of space makes SQLite drop its pages, and that
        # moves the version too. Nobody else wrote: this node held the lock.
        self._guard.watch_version(self._data_version())

    def require_own_process(self) -> None:
        """Raise ForkedError in a child of the process that opened the database."""
        self._guard.check_process()

    def reader(self) -> AbstractContextManager[apsw.Connection]:
        """A read-only connection of the pool; raises ForkedError, NodeStoppedError."""
        self.require_own_process()
        return self._readers.reader()

    def extra_reader(self) -> AbstractContextManager[apsw.Connection]:
        """A read-only connection beside the pool: nobody waits for who reads long."""
        self.require_own_process()
        return closing(open_reader(self.path))

    def checkpoint(self) -> bool:
        """Move the `-wal` into the database file, synced; False if a reader held it.

        Blocks nobody (https://www.sqlite.org/c3ref/wal_checkpoint_v2.html, PASSIVE).
        """
        try:
            in_log, moved = self.writer.wal_checkpoint(
                mode=apsw.SQLITE_CHECKPOINT_PASSIVE
            )
        except apsw.BusyError:
            return False
        except apsw.Error as error:
            raise storage_error("the checkpoint failed", error) from error
        if in_log != moved:
            return False
        self._checkpointed = self._position.offset
        return True

    def vacuum(self) -> None:
        """Rewrite the file without its free pages; outside a transaction.

        Raises RefusedStatementError while there are tables without a key: their rows
        travel by rowid, and VACUUM numbers those anew.
        """
        keyless = sorted(t.name for t in read_tables(self.writer).values() if t.keyless)
        if keyless:
            raise RefusedStatementError(
                f"VACUUM would number the rows of {', '.join(keyless)} anew, and the "
                "replicas know them by that number; give each a primary key first"
            )
        self.require_own_process()
        try:
            self.writer.execute("vacuum")
        except apsw.Error as error:
            raise storage_error("VACUUM failed", error) from error
        self._guard.check_wal()

    def empty_wal(self) -> bool:
        """Checkpoint and cut the `-wal` to nothing, if no reader is in the way now."""
        self.writer.set_busy_timeout(0)
        try:
            self.writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return False
        except apsw.Error as error:
            raise storage_error("the checkpoint failed", error) from error
        finally:
            self.writer.set_busy_timeout(BUSY_TIMEOUT_MS)
        self._checkpointed = self._position.offset
        return True

    def checkpoint_when_due(self) -> None:
        """Checkpoint once the `-wal` has grown past CHECKPOINT_PAGES."""
        if self._wal_pages > CHECKPOINT_PAGES:
            # Short of space, the pages stay in the `-wal`: nothing is lost by that.
            with suppress(DiskFullError):
                self.checkpoint()

    def schema_hash(self) -> bytes:
        """16 bytes that differ whenever the schema does; Nexus's own tables aside."""
        version = self._number("pragma schema_version")
        if self._schema_hash[0] != version:
            self._schema_hash = (version, hash_schema(self.writer))
        return self._schema_hash[1]

    def reign(self, reign: Reign) -> None:
        """Store a reign, within the open transaction."""
        system.write_reign(self.writer, reign)

    def remember_answer(
        self, transaction_id: str, offset: Offset, answer: bytes
    ) -> None:
        """Keep an answer beside its idempotency key, within the open transaction."""
        system.write_answer(self.writer, transaction_id, offset, answer)

    def answer_of(self, transaction_id: str) -> tuple[Offset, bytes] | None:
        """The kept answer of a transaction that was done before."""
        return system.read_answer(self.writer, transaction_id)

    def forget_answers_before(self, offset: Offset) -> int:
        """Drop answers that retention no longer keeps, in a transaction of its own.

        Returns how many: at most ANSWERS_FORGOTTEN, so that nobody waits long. Call
        it again until there are none.
        """
        self.begin()
        try:
            forgotten = system.delete_answers_before(
                self.writer, offset, most=ANSWERS_FORGOTTEN
            )
        except BaseException:
            self.rollback()
            raise
        self.commit(None)
        return forgotten

    def reload(self) -> None:
        """After the database was replaced or taken back: read what it says."""
        self._position = system.read_position(self.writer)
        self._checkpointed = min(self._checkpointed, self._position.offset)
        self._schema_hash = (-1, b"")
        self._guard.watch(self._data_version())

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
            self.writer.close(force=True)

    def _set_enforcement(self, *, enabled: bool) -> None:
        self.writer.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enabled))
        self.writer.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, int(enabled))
        self.writer.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, int(enabled))

    def _data_version(self) -> int:
        return self._number("pragma data_version")

    def _number(self, query: str) -> int:
        rows: list[Any] = self.writer.execute(query).fetchall()
        number: int = rows[0][0]
        return number

    def _count_pages(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


def hash_schema(connection: apsw.Connection) -> bytes:
    """Hash of every object of the user's schema."""
    digest = blake2b(digest_size=16)
    rows = connection.execute(
        "select type, name, tbl_name, coalesce(sql, '') from sqlite_schema "
        "where name not like 'sqlite\\_%' escape '\\' "
        "and tbl_name not like 'nexus\\_%' escape '\\' order by type, name"
    )
    for row in rows:
        digest.update("\0".join(row).encode() + b"\1")
    return digest.digest()


def storage_error(what: str, error: apsw.Error) -> StorageError:
    """SQLite's error as one of ours, with its message."""
    if isinstance(error, apsw.FullError):
        return DiskFullError(f"{what}: the disk is full; free space and start again")
    return StorageError(f"{what}: {error}")
