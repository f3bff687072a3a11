"""Rows for tables whose constraints carry a conflict clause of their own.

`UNIQUE ON CONFLICT IGNORE` (REPLACE, ROLLBACK) also rules what a changeset's apply
does. Changes have no order there, so a value may be taken before it is given up, and
the clause would drop a row without a word, delete another one, or end the
transaction. Such tables get their changes as plain statements instead: every old row
goes first, then every new row comes, which no order can disturb.
"""

from typing import Any, Final

import apsw

from nexus.storage.conflicts import RowConflictError, key_of, same_row, same_value
from nexus.storage.statements import quote, tokens

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
    tables: set[str],
    *,
    respelled: bool = False,
) -> None:
    """Apply the changes of these tables; raises RowConflictError.

    The caller's savepoint takes back what was done until then.
    """
    statements: dict[str, _Statements] = {}
    coming: list[tuple[_Statements, tuple[Any, ...], tuple[Any, ...]]] = []
    for change in apsw.Changeset.iter(changeset):
        if change.name not in tables:
            continue
        table = statements.get(change.name)
        if table is None:
            table = statements[change.name] = _Statements(connection, change)
        row = change.new if change.old is None else table.take(change)
        if row is not None:
            coming.append((table, key_of(change), row))
    for table, key, row in coming:
        if not (respelled and table.holds(row)):
            table.put(key, row)


class _Statements:
    """What removes and adds one table's rows."""

    def __init__(self, connection: apsw.Connection, change: apsw.TableChange) -> None:
        # A changeset has a table's stored columns; a keyless table's rowid comes first.
        columns = [
            quote(str(name))
            for name, hidden in connection.execute(
                "select name, hidden from pragma_table_xinfo(?) order by cid",
                (change.name,),
            )
            if not hidden
        ]
        if change.column_count == len(columns) + 1:
            columns.insert(0, "_rowid_")
        self._connection = connection
        self._name = change.name
        self._key = sorted(change.pk_columns)
        table = f"main.{quote(change.name)}"
        where = " and ".join(f"{columns[at]} = ?" for at in self._key)
        names = ", ".join(columns)
        self._select = f"select {names} from {table} where {where}"  # noqa: S608
        self._delete = f"delete from {table} where {where}"  # noqa: S608
        self._insert = (
            f"insert or abort into {table}({names}) "  # noqa: S608
            f"values ({', '.join('?' * len(columns))})"
        )

    def take(self, change: apsw.TableChange) -> tuple[Any, ...] | None:
        """Remove the old row; what an UPDATE makes of it, None for a DELETE."""
        assert change.old is not None, "only an INSERT has no old row"
        key = tuple(change.old[at] for at in self._key)
        found = self._connection.execute(self._select, key).fetchall()
        if not found:
            raise RowConflictError.of(apsw.SQLITE_CHANGESET_NOTFOUND, change)
        row: tuple[Any, ...] = found[0]
        if any(
            old is not apsw.no_change and not same_value(old, now)
            for old, now in zip(change.old, row, strict=True)
        ):
            raise RowConflictError.of(apsw.SQLITE_CHANGESET_DATA, change)
        self._connection.execute(self._delete, key)
        if change.new is None:
            return None
        return tuple(
            now if new is apsw.no_change else new
            for new, now in zip(change.new, row, strict=True)
        )

    def holds(self, row: tuple[Any, ...]) -> bool:
        """Whether this very row stands here."""
        key = tuple(row[at] for at in self._key)
        found = self._connection.execute(self._select, key).fetchall()
        return any(same_row(row, other) for other in found)

    def put(self, key: tuple[Any, ...], row: tuple[Any, ...]) -> None:
        """Add the new row; whatever the table's own clause says, it must fit."""
        try:
            self._connection.execute(self._insert, row)
        except apsw.ConstraintError as error:
            reason = apsw.SQLITE_CHANGESET_CONSTRAINT
            raise RowConflictError(reason, self._name, "INSERT", key) from error
