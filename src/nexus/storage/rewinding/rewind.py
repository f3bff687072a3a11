"""Take back what a log holds beyond its master's history: the newest entry first.

The database goes back in one SQLite transaction, the position with it, synced; then
the log is cut. While the two differ an intent stands in the catalog: at the next start
the position found in the database tells whether the log is still to be cut.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Final, assert_never

import apsw
import msgspec

from nexus.errors import DatabaseBusyError, DiskFullError, LogGapError, RewindError
from nexus.model.entry import Payload, Record
from nexus.model.operation import (
    Configuration,
    Fingerprint,
    Operation,
    Pragma,
    Reigned,
    Rows,
    Schema,
    Tokens,
)
from nexus.model.operation import Sequence as SequenceMove
from nexus.model.position import Offset, Position
from nexus.storage.apply import (
    DOES_NOT_FIT,
    LARGE_CHANGESET,
    MERGED_BYTES,
    STORED_SETTINGS,
)
from nexus.storage.applying.counters import Counters
from nexus.storage.applying.merging import RowApplier
from nexus.storage.catalog import Catalog, Intent
from nexus.storage.changesets.respelled import LEAST_INTEGER
from nexus.storage.database import Database
from nexus.storage.schema.system import forget_after
from nexus.storage.schema.tables import read_tables, shadow_tables
from nexus.storage.schema.tokens import take_tokens_back
from nexus.storage.sqlite.connections import storage_error, synced_commits
from nexus.storage.wal import WriteAheadLog

READ_BYTES: Final = 4 << 20
"""Entries held at once, at most: a long divergence needs no more memory than this."""

_Stretch = tuple[Offset, Offset]
"""The first and the last offset of some neighbouring entries."""


def rewind(
    database: Database, log: WriteAheadLog, catalog: Catalog, to: Position
) -> None:
    """Take back all after `to`, out of database and log; runs on the writer's thread.

    Entries that the database has not applied are only cut. Raises RewindError where
    that cannot be, DiskFullError or DatabaseBusyError where it cannot be just now: then
    all is as it was. After any other StorageError the intent still stands, and the
    node must start again.
    """
    stretches = _stretches(database, log, to)
    catalog.update(intent=Intent("rewind", database.position, to))
    try:
        if stretches:
            _take_back(database, log, stretches, to)
    except (RewindError, DiskFullError, DatabaseBusyError):
        catalog.update(intent=None)
        raise
    cut(log, catalog, to)


def cut(log: WriteAheadLog, catalog: Catalog, to: Position) -> None:
    """Take every entry after `to` out of the log alone; all that a witness needs."""
    # What was durable before says nothing of a log that ends earlier.
    catalog.update(log_watermark=Offset(0))
    log.truncate_after(to.offset)
    catalog.update(intent=None, log_watermark=log.durable_offset)


def resolve(
    intent: Intent, database: Database, log: WriteAheadLog, catalog: Catalog
) -> None:
    """At start: end a rewind that had begun, as the database's position says."""
    if database.position.offset <= intent.target.offset:
        cut(log, catalog, intent.target)
    else:  # nothing was taken back: the master will ask for it again
        catalog.update(intent=None)


def _stretches(database: Database, log: WriteAheadLog, to: Position) -> list[_Stretch]:
    """What is to be taken out of the database; RewindError for what cannot be."""
    applied = database.position.offset
    if to.offset < log.first_offset - 1:
        raise RewindError(
            f"the log begins with entry {log.first_offset}: what came after entry "
            f"{to.offset} cannot be taken back; a full sync is needed"
        )
    if applied <= to.offset:
        return []
    if database.history().position_at(to.offset) != to:
        raise RewindError(
            f"the database at {database.position} was never at {to}; a full sync is "
            "needed"
        )
    schema_hash = database.schema_hash()
    watchful = _watchful_tables(database.writer)
    stretches = []
    with closing(log.cursor(Offset(to.offset + 1))) as cursor:
        while cursor.offset <= applied:
            first = cursor.offset
            for record in cursor.read(Offset(applied + 1), READ_BYTES):
                _require_reversible(record, schema_hash, watchful)
            stretches.append((first, Offset(cursor.offset - 1)))
    return stretches


def _require_reversible(
    record: Record, schema_hash: bytes, watchful: frozenset[str]
) -> None:
    payload = _meaning(record)
    is_old = payload.schema_hash not in (b"", schema_hash)
    reason = "was made under another schema" if is_old else ""
    for operation in payload.operations:
        if isinstance(operation, Schema):
            reason = f"changes the schema: {operation.sql}"
        elif isinstance(operation, Rows) and _is_doubtful(operation, watchful):
            reason = "inserts into a table whose keys can be equal and not the same"
    if reason:
        raise RewindError(
            f"entry {record.offset} {reason}; it cannot be taken back, a full sync is "
            "needed"
        )


def _watchful_tables(connection: apsw.Connection) -> frozenset[str]:
    """Tables whose keys can be equal and not the same, as a client may spell them.

    The modules that own shadow tables never spell a key in two ways.
    """
    tables = read_tables(connection).values()
    found = frozenset(table.name for table in tables if table.watchful)
    return found - shadow_tables(connection)


def _is_doubtful(rows: Rows, watchful: frozenset[str]) -> bool:
    """Whether an inserted row may have stood there before (see `RowApplier.apply`)."""
    anywhere = LEAST_INTEGER in rows.changeset
    return rows.alone and any(
        change.opcode == apsw.SQLITE_INSERT and (anywhere or change.name in watchful)
        for change in apsw.Changeset.iter(rows.changeset)
    )


def _meaning(record: Record) -> Payload:
    try:
        return record.decoded()
    except msgspec.MsgspecError as error:
        raise RewindError(
            f"entry {record.offset} says nothing that this version understands "
            f"({error}); a full sync is needed"
        ) from error


def _take_back(
    database: Database, log: WriteAheadLog, stretches: list[_Stretch], to: Position
) -> None:
    """In one synced transaction; when an error is raised, nothing has changed."""
    database.set_mode_applying()
    with synced_commits(database.writer):
        database.begin()
        try:
            undoing = _Undoing(database.writer)
            for record in _newest_first(log, stretches):
                undoing.take_back(record)
            undoing.finish(to.offset)
            database.commit(to)
        except apsw.Error as error:
            database.rollback()
            raise storage_error("entries could not be taken back", error) from error
        except BaseException:
            database.rollback()
            raise
    database.reload()


def _newest_first(log: WriteAheadLog, stretches: list[_Stretch]) -> Iterator[Record]:
    for first, last in reversed(stretches):
        records: list[Record] = []
        try:
            with closing(log.cursor(first)) as cursor:
                while cursor.offset <= last:
                    records += cursor.read(Offset(last + 1), READ_BYTES)
        except LogGapError as error:
            raise RewindError(f"{error}; retention was faster") from error
        yield from reversed(records)


class _Undoing:
    """Inverts entries within the writer's transaction."""

    def __init__(self, writer: apsw.Connection) -> None:
        self._writer = writer
        self._rows = RowApplier(writer)
        self._counters = Counters(writer)
        self._waiting: list[bytes] = []
        """Inverted changesets that can be applied as one."""
        self._size_bytes = 0

    def take_back(self, record: Record) -> None:
        """One entry, its last operation first; raises RewindError."""
        for operation in reversed(_meaning(record).operations):
            self._undo(operation)
        if self._size_bytes > MERGED_BYTES:
            self._flush()

    def finish(self, last_kept: Offset) -> None:
        """After the last entry: what stands beside the rows goes back too."""
        self._flush()
        self._counters.put_right()
        forget_after(self._writer, last_kept)

    def _undo(self, operation: Operation) -> None:
        match operation:
            case Rows():
                self._undo_rows(operation)
            case SequenceMove(table=table, old=old, new=new):
                self._counters.move(SequenceMove(table, old=new, new=old))
            case Pragma(name=name, old=old):
                assert name in STORED_SETTINGS, f"{name} is not kept in the file"
                self._writer.execute(f"pragma {name} = {int(old)}")
            case Tokens(changes=changes):
                take_tokens_back(self._writer, changes)
            case Schema() | Reigned() | Configuration() | Fingerprint():
                pass  # refused before, or known to `forget_after` by its offset
            case _:
                assert_never(operation)

    def _undo_rows(self, operation: Rows) -> None:
        inverse = apsw.Changeset.invert(operation.changeset)
        if operation.alone or len(inverse) > LARGE_CHANGESET:
            self._flush()
            self._apply(inverse)
        else:
            self._waiting.append(inverse)
            self._size_bytes += len(inverse)

    def _flush(self) -> None:
        waiting, self._waiting, self._size_bytes = self._waiting, [], 0
        try:
            self._rows.apply_merged(waiting)
        except DOES_NOT_FIT:
            if not self._writer.in_transaction:
                raise
            # They may be in each other's way only because they were merged.
            for inverse in waiting:
                self._apply(inverse)

    def _apply(self, inverse: bytes) -> None:
        try:
            self._rows.apply(inverse)
        except DOES_NOT_FIT as error:
            raise RewindError(
                f"the rows here are not those that the log's entries left ({error}); "
                "a full sync is needed"
            ) from error
