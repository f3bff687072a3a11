"""Put entries into the database exactly once, in order.

Many entries share one SQLite transaction, and the applied position commits with them.
Row changes of neighbours are merged; schema statements, and changes that must stand
alone, are barriers between them. A change that does not fit the rows here stops the
apply with an error that names table and key.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, assert_never

import apsw
import msgspec

from nexus.errors import ApplyConflictError, ApplyError, SchemaMismatchError
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
from nexus.storage.applying.counters import Counters
from nexus.storage.applying.merging import RowApplier
from nexus.storage.changesets.conflicts import RowConflictError
from nexus.storage.database import Database
from nexus.storage.schema.columns import changed
from nexus.storage.schema.tables import Table, read_tables
from nexus.storage.sqlite.connections import storage_error

APPLY_BYTES: Final = 4 << 20
"""Entries given to one `apply`, at most: bounds memory, and readers' wait for them."""

LARGE_CHANGESET: Final = 16 << 10
"""From here on merging costs more than the apply that it saves (measured)."""

MERGED_BYTES: Final = 8 << 20
"""Entries merged at most: a merged changeset exists twice in memory for a moment."""

STORED_SETTINGS: Final = ("user_version", "application_id")

_MEND: Final = "a full sync is needed"

DOES_NOT_FIT: Final = (
    RowConflictError,
    apsw.SQLError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.CorruptError,
    apsw.SchemaChangeError,
)
"""What an entry raises that belongs to another database than this one."""


class Applier:
    """Applies on the writer's connection, in applying mode; one thread at a time."""

    def __init__(
        self,
        database: Database,
        *,
        on_fingerprint: Callable[[Fingerprint, Offset], None] | None = None,
    ) -> None:
        self._database = database
        self._on_fingerprint = on_fingerprint

    def apply(
        self,
        records: Sequence[Record],
        payloads: Sequence[Payload] | None = None,
    ) -> Position:
        """Apply these entries; those that are applied already are passed over.

        Returns the applied position, committed and not synced: the log is. It stands
        right after the first entry that carries a mark, even if more were given.
        Raises ApplyError (a gap, a payload that makes no sense), ApplyConflictError or
        SchemaMismatchError: the entries before the one that fails are applied and
        committed, nothing of it or after it. Any other StorageError: nothing of these
        entries is applied.
        """
        first = self._first_pending(records)
        if first == len(records):
            return self._database.position
        entries = _entries(records, payloads, first)
        self._database.begin()
        batch = _Batch(self._database)
        try:
            stopped_by = batch.run(entries)
        except apsw.Error as error:
            self._database.rollback()
            raise storage_error("the entries could not be applied", error) from error
        except BaseException:
            self._database.rollback()
            raise
        self._end(batch)
        if stopped_by is not None:
            raise stopped_by
        return self._database.position

    def _first_pending(self, records: Sequence[Record]) -> int:
        """Where the entries begin that are not applied; raises ApplyError for a gap."""
        wanted = self._database.position.offset + 1
        if not records or records[-1].offset < wanted:
            return len(records)
        first = wanted - records[0].offset
        if first < 0:
            raise ApplyError(
                f"entry {records[0].offset} cannot follow entry {wanted - 1}: the "
                f"entries between them are missing; {_MEND}"
            )
        return first

    def _end(self, batch: "_Batch") -> None:
        if batch.position == self._database.position:
            self._database.rollback()
            return
        self._database.commit(batch.position)
        if self._on_fingerprint is not None:
            for mark in batch.marks:
                self._on_fingerprint(mark, batch.position.offset)


def _entries(
    records: Sequence[Record], payloads: Sequence[Payload] | None, first: int
) -> Iterator[tuple[Record, Payload]]:
    """Each entry with its meaning, from the first one that is not applied."""
    for at in range(first, len(records)):
        record = records[at]
        if record.offset != records[first].offset + at - first:
            raise ApplyError(
                f"entry {record.offset} stands where entry "
                f"{records[first].offset + at - first} belongs; {_MEND}"
            )
        try:
            yield record, record.decoded() if payloads is None else payloads[at]
        except msgspec.MsgspecError as error:
            raise ApplyError(
                f"entry {record.offset} says nothing that this version understands "
                f"({error}); upgrade this node, or make a full sync"
            ) from error


def _is_barrier(operation: Operation) -> bool:
    """Whether the operation's entry is applied by itself, in its place."""
    if isinstance(operation, Rows):
        return operation.alone or len(operation.changeset) > LARGE_CHANGESET
    return isinstance(operation, Schema)


class _Group:
    """Neighbouring entries whose row changes can be merged."""

    def __init__(self) -> None:
        self.entries: list[tuple[Record, Payload]] = []
        self.changesets: list[bytes] = []
        self.beside_rows: list[tuple[Record, Payload]] = []
        """Those that say more than rows."""
        self.marks: list[Fingerprint] = []
        self.size_bytes = 0

    def add(self, record: Record, payload: Payload) -> None:
        """Take one more entry."""
        entry = (record, payload)
        self.entries.append(entry)
        self.size_bytes += len(record.payload)
        only_rows = not payload.transaction_id
        for operation in payload.operations:
            if isinstance(operation, Rows):
                self.changesets.append(operation.changeset)
            else:
                only_rows = False
                if isinstance(operation, Fingerprint):
                    self.marks.append(operation)
        if not only_rows:
            self.beside_rows.append(entry)


class _Batch:
    """One SQLite transaction full of entries."""

    def __init__(self, database: Database) -> None:
        self.position = database.position
        """After the last entry that is applied, in this transaction or before."""
        self.marks: list[Fingerprint] = []
        """Of the last entry; the batch ended at it."""
        self._database = database
        self._writer = database.writer
        self._schema_hash = database.schema_hash()
        self._rows = RowApplier(self._writer)
        self._counters = Counters(self._writer)
        self._history_id = database.position.history_id
        self._group = _Group()
        self._tables: dict[str, Table] | None = None
        """As they stand, where a schema statement has made them worth knowing."""

    def run(self, entries: Iterable[tuple[Record, Payload]]) -> ApplyError | None:
        """Apply until the end, a mark or an entry that does not fit; its error."""
        stopped_by = None
        try:
            for record, payload in entries:
                self._take(record, payload)
                if self.marks:
                    break
        except ApplyError as error:
            stopped_by = error
        try:
            self._flush()
        except ApplyError as error:
            stopped_by = error  # of an earlier entry
        self._counters.put_right()
        return stopped_by

    def _take(self, record: Record, payload: Payload) -> None:
        if payload.schema_hash and payload.schema_hash != self._schema_hash:
            raise SchemaMismatchError(
                f"entry {record.offset} was made under another schema than this "
                "database has (somebody changed it here, or a statement did not "
                f"replicate); {_MEND}"
            )
        if any(map(_is_barrier, payload.operations)):
            self._flush()
            self._apply_alone(record, payload)
            return
        group = self._group
        group.add(record, payload)
        if group.marks or group.size_bytes > MERGED_BYTES:
            marks = group.marks
            self._flush()
            self.marks = marks

    def _flush(self) -> None:
        """Apply the entries that are waiting; raises ApplyError for one of them."""
        group, self._group = self._group, _Group()
        if not group.entries:
            return
        try:
            self._rows.apply_merged(group.changesets)
        except DOES_NOT_FIT:
            if not self._writer.in_transaction:
                raise
            # If an entry really does not fit, those before it are applied all the same.
            for record, payload in group.entries:
                self._apply_alone(record, payload)
            return
        for record, payload in group.beside_rows:
            self._do_all(record, payload, but_rows=True)
        self._stand_at(group.entries[-1][0])

    def _apply_alone(self, record: Record, payload: Payload) -> None:
        """Apply one entry; raises ApplyError, and then nothing of it is applied."""
        wanted, history_id = self._counters.wanted, self._history_id
        self._writer.execute("savepoint nexus_entry")
        try:
            self._do_all(record, payload)
        except DOES_NOT_FIT as error:
            if not self._writer.in_transaction:
                raise
            self._writer.execute("rollback to nexus_entry")
            self._writer.execute("release nexus_entry")
            self._counters.go_back(wanted)
            self._history_id = history_id
            self._tables = None
            raise self._as_apply_error(record, error) from error
        self._writer.execute("release nexus_entry")
        self._stand_at(record)

    def _do_all(
        self, record: Record, payload: Payload, *, but_rows: bool = False
    ) -> None:
        for step, operation in enumerate(payload.operations):
            if not (but_rows and type(operation) is Rows):
                self._do(operation, record.offset, step)
        if payload.transaction_id:
            self._database.remember_answer(
                payload.transaction_id, record.offset, payload.answer
            )

    def _do(self, operation: Operation, offset: Offset, step: int) -> None:
        match operation:
            case Rows(changeset=changeset, alone=alone):
                self._rows.apply(changeset, respelled=alone)
            case Schema(sql=sql):
                self._run_schema(sql, offset, step)
            case SequenceMove():
                self._counters.move(operation)
            case Pragma(name=name, new=new):
                assert name in STORED_SETTINGS, f"{name} is not kept in the file"
                self._writer.execute(f"pragma {name} = {int(new)}")
            case Reigned(reign=reign):
                self._database.keep_own(operation, offset)
                self._history_id = reign.history_id
            case Configuration() | Tokens():
                self._database.keep_own(operation, offset)
            case Fingerprint():
                pass  # the node's matter, not the database's
            case _:
                assert_never(operation)

    def _run_schema(self, sql: str, offset: Offset, step: int) -> None:
        # A statement may rename or drop a counter: it must find the right ones.
        self._counters.put_right()
        before = self._tables or read_tables(self._writer)
        self._writer.execute(sql).fetchall()
        self._counters.read()
        self._rows.schema_changed()
        self._tables = read_tables(self._writer)
        shapes = changed(before, self._tables)
        self._database.keep_columns(offset, ((step, shapes),))
        self._schema_hash = self._database.schema_hash()

    def _stand_at(self, record: Record) -> None:
        self.position = Position(record.epoch, record.offset, self._history_id)

    def _as_apply_error(self, record: Record, error: Exception) -> ApplyError:
        if isinstance(error, RowConflictError):
            key = ", ".join(map(repr, error.key))
            return ApplyConflictError(
                f"entry {record.offset} does not fit the rows here: {error.operation} "
                f"in table {error.table}, key {key}: {error.reason}; this database has "
                f"left its master's history, and {_MEND}",
                table=error.table,
                key=key,
            )
        return ApplyError(
            f"entry {record.offset} cannot be applied here: {error}; {_MEND}"
        )
