"""One writer, many readers; the applied position is stored inside the database.

The file is an ordinary SQLite database in WAL mode. Any process may read it with plain
SQLite; only its node writes.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, assert_never

import apsw
from typing_extensions import override

from nexus.errors import (
    DatabaseBusyError,
    DiskFullError,
    RefusedStatementError,
    StorageError,
)
from nexus.model.entry import Record
from nexus.model.operation import Configuration, Own, Reigned, Tokens
from nexus.model.position import ORIGIN, EpochHistory, Offset, Position
from nexus.storage.schema import columns, system
from nexus.storage.schema.columns import SchemaChange
from nexus.storage.schema.tables import hash_schema, read_tables
from nexus.storage.schema.tokens import (
    GoodTokens,
    KnownTokens,
    read_tokens,
    write_tokens,
)
from nexus.storage.sqlite.access import ENCODING, PAGE_SIZE, Access
from nexus.storage.sqlite.connections import BUSY_TIMEOUT_MS, storage_error
from nexus.storage.sqlite.functions import NO_FUNCTIONS, Functions

CHECKPOINT_PAGES: Final = 4_000
"""Pages in the `-wal` that make a checkpoint due, 16 MiB: SQLite's own 1,000 would make
a client that writes alone wait four times as often for a checkpoint's syncs."""

ANSWERS_FORGOTTEN: Final = 2_000
"""Answers to idempotency keys that one transaction drops."""


class Database(Access):
    """The node's database; the writer's methods are for one thread at a time."""

    def __init__(
        self, path: Path, *, readers: int = 8, functions: Functions = NO_FUNCTIONS
    ) -> None:
        super().__init__(path, readers=readers, functions=functions)
        self._position = ORIGIN
        self._page_size, self._encoding = PAGE_SIZE, ENCODING
        self._checkpointed = Offset(0)
        self._schema_hash = (-1, b"")
        self._wal_pages = 0
        """Pages in the `-wal` since it was last begun anew."""
        self._tokens = GoodTokens()
        self._tokens_changed = False
        self.begun = 0
        """Transactions of the writer so far. Within one, nobody else changes anything
        here, the schema least of all."""

    @property
    def position(self) -> Position:
        """The last entry that is applied and committed."""
        return self._position

    @property
    def checkpointed_offset(self) -> Offset:
        """Entries up to here are synced in the database file itself."""
        return self._checkpointed

    @property
    def page_size(self) -> int:
        """Bytes a page; of a new one, where none stands."""
        return self._page_size

    @property
    def encoding(self) -> str:
        """The encoding of text, as `PRAGMA encoding` names it; of a new one too."""
        return self._encoding

    @property
    def tokens(self) -> KnownTokens:
        """The cluster's that are good; any thread may ask."""
        return self._tokens.good

    def foresee(self, records: Iterable[Record]) -> None:
        """The log holds these: what they revoke is good no more, applied or not."""
        self._tokens.stored(record.payload for record in records)

    def history(self) -> EpochHistory:
        """All reigns up to the applied position."""
        return system.read_history(self.writer) if self.stands else EpochHistory()

    def begin(self) -> None:
        """Open the writer's transaction.

        Raises ForeignWriteError, ForkedError, StorageError, and DatabaseBusyError if
        another process holds the lock for writing for BUSY_TIMEOUT_MS.
        """
        self.require_own_process()
        self.begun += 1
        try:
            self.writer.execute("begin immediate")
        except apsw.BusyError as busy:
            raise DatabaseBusyError(
                f"another process holds the lock for writing {self.path}; only its "
                "node may write to it: end that process, or its transaction; nothing "
                "happened here, try again then"
            ) from busy
        except apsw.Error as error:
            raise storage_error("SQLite could not begin", error) from error
        try:
            self._guard.check_data_version(self._data_version())
            self._onlooker.look()
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
        if self._tokens_changed:
            self._read_tokens()

    def rollback(self) -> None:
        """Take the open transaction back; harmless when SQLite did so already."""
        if self.writer.in_transaction:
            self.writer.execute("rollback")
        self._schema_hash = (-1, b"")
        self._tokens_changed = False
        # A commit that fails for want of space makes SQLite drop its pages, and that
        # moves the version too. It is the old state unless somebody has come since.
        version = self._data_version()
        if self._onlooker.saw_no_commit():
            self._guard.watch_version(version)

    def checkpoint(self) -> bool:
        """Move the `-wal` into the database file, synced; False if a reader held it.

        Blocks nobody (https://www.sqlite.org/c3ref/wal_checkpoint_v2.html, PASSIVE).
        """
        if not self.stands:
            return True
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

    def schema_hash(self, *, anew: bool = False) -> bytes:
        """16 bytes that differ whenever the schema does; Nexus's own tables aside.

        Ask `anew` after a schema statement: SQLite gives the version of one that was
        taken back to the next one.
        """
        version = self._number("pragma schema_version")
        if anew or self._schema_hash[0] != version:
            self._schema_hash = (version, hash_schema(self.writer))
        return self._schema_hash[1]

    def keep_own(self, operation: Own, offset: Offset) -> None:
        """Do what an entry of Nexus's own says, within the open transaction."""
        match operation:
            case Reigned(reign=reign):
                system.write_reign(self.writer, reign)
            case Configuration():
                system.write_configuration(self.writer, offset, operation)
            case Tokens(changes=changes):
                write_tokens(self.writer, changes)
                self._tokens_changed = True
            case _:
                assert_never(operation)

    def remember_answer(
        self, transaction_id: str, offset: Offset, answer: bytes
    ) -> None:
        """Keep an answer beside its idempotency key, within the open transaction."""
        system.write_answer(self.writer, transaction_id, offset, answer)

    def answer_of(self, transaction_id: str) -> tuple[Offset, bytes] | None:
        """The kept answer of a transaction that was done before."""
        return system.read_answer(self.writer, transaction_id)

    def keep_columns(self, offset: Offset, changes: Iterable[SchemaChange]) -> None:
        """Which tables an entry's operations changed, within the open transaction."""
        for step, shapes in changes:
            columns.keep(self.writer, offset, step, shapes)

    def columns_known_since(self) -> Offset:
        """Of every entry behind this one it is known which columns its rows had."""
        with self.extra_reader() as reader:
            return columns.known_since(reader)

    def forget_answers_before(self, offset: Offset) -> int:
        """Drop what retention no longer keeps, in a transaction of its own.

        The columns that only older entries have, and answers; returns how many of
        these: at most ANSWERS_FORGOTTEN, so that nobody waits long. Call it again
        until there are none.
        """
        self.begin()
        try:
            forgotten = system.delete_answers_before(
                self.writer, offset, most=ANSWERS_FORGOTTEN
            )
            columns.forget_before(self.writer, offset)
        except BaseException:
            self.rollback()
            raise
        self.commit(None)
        return forgotten

    def reload(self) -> None:
        """After the database was replaced or taken back: read what it says."""
        self._position = system.read_position(self.writer)
        self._tokens.forget()
        self._read_tokens()
        # Kept: other threads ask for them while the writer is at work.
        self._page_size = self.writer.pragma("page_size")
        self._encoding = self.writer.pragma("encoding")
        self._checkpointed = min(self._checkpointed, self._position.offset)
        self._schema_hash = (-1, b"")
        self._guard.watch(self._data_version())

    def _read_tokens(self) -> None:
        self._tokens.applied(read_tokens(self.writer))
        self._tokens_changed = False

    def _count_pages(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    @override
    def _taken(self) -> None:
        self.writer.set_wal_hook(self._count_pages)
        self.reload()
