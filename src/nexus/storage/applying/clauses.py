"""Rows for tables whose constraints carry a conflict clause of their own.

`UNIQUE ON CONFLICT IGNORE` (REPLACE, ROLLBACK) also rules what a changeset's apply
does. Changes have no order there, so a value may be taken before it is given up, and
the clause would drop a row without a word, delete another one, or end the
transaction. Such tables get their changes as plain statements instead: every old row
goes first, then every new row comes, which no order can disturb.
"""

from collections.abc import Collection
from typing import Final

import apsw

from nexus.model.statements import quote, tokens
from nexus.storage.changesets.changes import (
    Change,
    Row,
    fetch_exactly,
    matching,
    place,
    read_changes,
    to_bind,
)
from nexus.storage.changesets.conflicts import RowConflictError, same_row, same_value

_CLAUSES: Final = {"IGNORE", "REPLACE", "ROLLBACK"}
"""FAIL and ABORT end one statement, as the apply expects."""


def tables_with_clauses(connection: apsw.Connection) -> frozenset[str]:
    """Names of the tables with a conflict clause that changes what an apply does."""
    rows = connection.execute(
        "select name, sql from main.sqlite_schema "
        "where type = 'table' and sql like '%conflict%'"
    )
    return frozenset(name for name, sql in rows if _has_clause(sql))


def _has_clause(sql: str) -> bool:
    words = [text.upper() for _, text in tokens(sql)]
    return any(
        (first, second) == ("ON", "CONFLICT") and third in _CLAUSES
        for first, second, third in zip(words, words[1:], words[2:], strict=False)
    )


def apply_to_tables(
    connection: apsw.Connection,
    changeset: bytes,
    tables: Collection[str] | None,
    *,
    respelled: bool,
) -> None:
    """Apply the changes of these tables, or of all; raises RowConflictError.

    The caller's savepoint takes back what was done until then.
    """
    statements: dict[str, _Statements] = {}
    coming: list[tuple[_Statements, Change, Row]] = []
    for change in read_changes(changeset):
        if tables is not None and change.table not in tables:
            continue
        table = statements.get(change.table)
        if table is None:
            table = statements[change.table] = _Statements(connection, change)
        row = change.new if change.old is None else table.take(change)
        if row is not None:
            coming.append((table, change, row))
    for table, change, row in coming:
        if not (respelled and table.holds(change, row)):
            table.put(change, row)


class _Statements:
    """What removes and adds one table's rows."""

    def __init__(self, connection: apsw.Connection, change: Change) -> None:
        # A changeset has a table's stored columns; a keyless table's rowid comes first.
        names = [
            str(name)
            for name, hidden in connection.execute(
                "select name, hidden from pragma_table_xinfo(?) order by cid",
                (change.table,),
            )
            if not hidden
        ]
        if len(change.row) == len(names) + 1:
            names.insert(0, "_rowid_")
        self._connection = connection
        self._columns = [quote(name) for name in names]
        self._key = [names[at] for at in change.key_columns]
        self._table = f"main.{quote(change.table)}"

    def take(self, change: Change) -> Row | None:
        """Remove the old row; what an UPDATE makes of it, None for a DELETE."""
        assert change.old is not None, "only an INSERT has no old row"
        found = self._find(change.key)
        if not found:
            raise _conflict(apsw.SQLITE_CHANGESET_NOTFOUND, change)
        row = found[0]
        if any(
            old is not apsw.no_change and not same_value(old, now)
            for old, now in zip(change.old, row, strict=True)
        ):
            raise _conflict(apsw.SQLITE_CHANGESET_DATA, change)
        self._connection.execute(
            f"delete from {self._table} where {matching(self._key, change.key)}",  # noqa: S608
            tuple(map(to_bind, change.key)),
        )
        if change.new is None:
            return None
        return tuple(
            now if new is apsw.no_change else new
            for new, now in zip(change.new, row, strict=True)
        )

    def holds(self, change: Change, row: Row) -> bool:
        """Whether this very row stands here."""
        key = tuple(row[at] for at in change.key_columns)
        return any(same_row(row, other) for other in self._find(key))

    def put(self, change: Change, row: Row) -> None:
        """Add the new row; whatever the table's own clause says, it must fit."""
        sql = (
            f"insert or abort into {self._table}({', '.join(self._columns)}) "  # noqa: S608
            f"values ({', '.join(map(place, row))})"
        )
        try:
            self._connection.execute(sql, tuple(map(to_bind, row)))
        except apsw.ConstraintError as error:
            raise _conflict(apsw.SQLITE_CHANGESET_CONSTRAINT, change) from error

    def _find(self, key: Row) -> list[Row]:
        where = f"from {self._table} where {matching(self._key, key)}"
        return fetch_exactly(self._connection, self._columns, where, key)


def _conflict(reason: int, change: Change) -> RowConflictError:
    operation = _OPERATIONS[change.opcode]
    return RowConflictError(reason, change.table, operation, change.key)


_OPERATIONS: Final = {
    apsw.SQLITE_INSERT: "INSERT",
    apsw.SQLITE_UPDATE: "UPDATE",
    apsw.SQLITE_DELETE: "DELETE",
}
