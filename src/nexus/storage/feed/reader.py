"""Turn the log's entries into changes, with the names their columns had at the time."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, assert_never

import apsw

from nexus.errors import StorageError
from nexus.model.change import Change, ChangeKind, Place, TableShape
from nexus.model.entry import Payload, Record
from nexus.model.names import folded
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
from nexus.model.position import HistoryId, Offset, Position
from nexus.storage.changesets.changes import Change as RowChange
from nexus.storage.changesets.changes import Row, read_changes
from nexus.storage.database import Database
from nexus.storage.schema import columns

_KINDS: Final[Mapping[int, ChangeKind]] = {
    apsw.SQLITE_INSERT: "insert",
    apsw.SQLITE_UPDATE: "update",
    apsw.SQLITE_DELETE: "delete",
}

_Found = tuple[ChangeKind, dict[str, Any]]
"""What a change is, and the fields that are its own."""


class EntryReader:
    """Reads entries in order; one thread at a time uses it.

    The database must have applied what is read: it knows the columns of every entry
    that it has.
    """

    def __init__(
        self, database: Database, history_id: HistoryId, tables: frozenset[str]
    ) -> None:
        """`history_id` is that of the first entry; `tables`, if any, are those shown.

        Their names are folded. Schema statements and settings are always shown.
        """
        self._database = database
        self._history_id = history_id
        self._tables = tables
        self._columns: dict[str, columns.Columns] = {}

    def changes(self, record: Record, from_index: int = 0) -> Iterator[Change]:
        """The changes of an entry, without those before `from_index`.

        Raises StorageError for an entry whose columns nobody knows.
        """
        payload = record.decoded()
        for operation in payload.operations[:1]:
            if isinstance(operation, Reigned):
                self._history_id = operation.reign.history_id
        waiting: tuple[int, _Found] | None = None
        for index, found in self._shown(record.offset, payload):
            if index < from_index:
                continue
            if waiting is not None:
                yield self._change(record, payload, *waiting, last=False)
            waiting = index, found
        if waiting is not None:
            yield self._change(record, payload, *waiting, last=True)

    def place(self, record: Record, index: int | None = None) -> Place:
        """Behind this entry, or behind one of its changes."""
        return Place(Position(record.epoch, record.offset, self._history_id), index)

    def _change(
        self, record: Record, payload: Payload, index: int, found: _Found, *, last: bool
    ) -> Change:
        kind, own = found
        return Change(
            op=kind,
            id=str(self.place(record, None if last else index)),
            epoch=record.epoch,
            offset=record.offset,
            index=index,
            last=last,
            timestamp_us=payload.timestamp_us,
            transaction_id=payload.transaction_id,
            **own,
        )

    def _shown(self, offset: Offset, payload: Payload) -> Iterator[tuple[int, _Found]]:
        """With their places among all changes of the entry."""
        index = 0
        for step, operation in enumerate(payload.operations):
            for found in self._found(operation, offset, step):
                if found is not None:
                    yield index, found
                index += 1

    def _found(
        self, operation: Operation, offset: Offset, step: int
    ) -> Iterator[_Found | None]:
        """None for each change that is not shown."""
        match operation:
            case Rows(changeset=changeset):
                for change in read_changes(changeset):
                    shown = self._shows(change.table)
                    yield self._row(change, offset, step) if shown else None
            case Schema():
                yield "schema", self._schema(operation, offset, step)
            case SequenceMove(table=table, old=old, new=new):
                own = {"table": table, "old": old, "new": new}
                yield ("sequence", own) if self._shows(table) else None
            case Pragma(name=name, old=old, new=new):
                yield "pragma", {"name": name, "old": old, "new": new}
            case Reigned() | Fingerprint() | Configuration() | Tokens():
                pass  # the cluster's matter
            case _:
                assert_never(operation)

    def _shows(self, table: str) -> bool:
        return not self._tables or folded(table) in self._tables

    def _row(self, change: RowChange, offset: Offset, step: int) -> _Found:
        shape = self._columns.get(change.table)
        if shape is None:
            shape = self._columns[change.table] = self._find(change, offset, step)
        names = shape.names
        key = {names[at]: change.row[at] for at in change.key_columns}
        own = {"table": change.table, "key": key}
        for side, row in (("old", change.old), ("new", change.new)):
            if row is not None:
                own[side] = _named(names, row, change)
        return _KINDS[change.opcode], own

    def _find(self, change: RowChange, offset: Offset, step: int) -> columns.Columns:
        with self._database.extra_reader() as reader:
            found = columns.find(reader, change.table, offset, step)
        if found is None or len(found.names) != len(change.row):
            raise StorageError(
                f"entry {offset} changes table {change.table} of {len(change.row)} "
                f"columns, and this node knows of {len(found.names) if found else 0}: "
                "the database was changed past its log; have this node do a full sync"
            )
        return found

    def _schema(self, operation: Schema, offset: Offset, step: int) -> dict[str, Any]:
        self._columns.clear()
        with self._database.extra_reader() as reader:
            shapes = columns.shapes_at(reader, offset, step)
        return {
            "sql": operation.sql,
            "tables": {
                name: None if shape is None else TableShape(shape.names, shape.key)
                for name, shape in shapes.items()
            },
        }


def _named(names: Iterable[str], row: Row, change: RowChange) -> dict[str, Any]:
    """The values by column; of an update those alone that changed."""
    if change.opcode != apsw.SQLITE_UPDATE:
        return dict(zip(names, row, strict=True))
    assert change.new is not None, "an UPDATE has new values"
    return {
        name: value
        for name, value, new in zip(names, row, change.new, strict=True)
        if new is not apsw.no_change
    }
