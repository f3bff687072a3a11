"""Refuse text that a UTF-16 database can keep and no changeset can say.

SQLite's session extension speaks UTF-8. Half of a surrogate pair becomes another
character on the way, or two that were apart become one: the replicas would hold other
text than the master, and nobody would notice.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import apsw

from nexus.errors import RefusedStatementError
from nexus.model.names import folded
from nexus.model.operation import Operation, Rows
from nexus.model.statements import quote
from nexus.storage.schema.tables import Table, read_tables

CODECS: Final = {"UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}

PAIRED: Final = "\U00010000"
"""From here on a character is a pair in UTF-16: only such can be made of halves."""


def refuse_spoiled(
    connection: apsw.Connection, operations: Iterable[Operation], encoding: str
) -> None:
    """Raise RefusedStatementError for a row whose text is no UTF-16.

    Nothing to do where the database keeps UTF-8: that is carried byte for byte.
    """
    codec = CODECS.get(encoding)
    if codec is None:
        return
    tables = read_tables(connection)
    for operation in operations:
        if not isinstance(operation, Rows):
            continue
        for change in apsw.Changeset.iter(operation.changeset):
            name = change.name
            try:
                old, new = change.old, change.new
            except UnicodeDecodeError:
                raise _refusal(name) from None
            table = tables.get(folded(name))
            if new is not None and table is not None:
                _check(connection, table, old or new, new, codec)


def _check(
    connection: apsw.Connection,
    table: Table,
    old: tuple[Any, ...],
    new: tuple[Any, ...],
    codec: str,
) -> None:
    for index, column in _doubtful(table, new):
        key = _key(table, old, new)
        where = " and ".join(f"{name} is ?" for name, _ in key)
        rows: list[Any] = connection.execute(
            f"select {column}, cast({column} as blob) from {quote(table.name)} "  # noqa: S608 - quoted names
            f"where {where}",
            tuple(value for _, value in key),
        ).fetchall()
        # What the transaction has changed again is judged by its last change.
        if any(
            text == new[index] and kept != new[index].encode(codec)
            for text, kept in rows
        ):
            raise _refusal(table.name)


def _doubtful(table: Table, new: tuple[Any, ...]) -> Iterator[tuple[int, str]]:
    """The place in the change, and the name, of each column with a pair in its text."""
    first = int(table.keyless)  # there a changeset's first column is the rowid
    for index, column in enumerate(table.columns, first):
        value = new[index]
        if isinstance(value, str) and value and max(value) >= PAIRED:
            yield index, quote(column)


def _key(
    table: Table, old: tuple[Any, ...], new: tuple[Any, ...]
) -> list[tuple[str, Any]]:
    if table.keyless:
        return [("_rowid_", old[0] if new[0] is apsw.no_change else new[0])]
    found = []
    for name in table.key:
        index = table.columns.index(name)
        value = old[index] if new[index] is apsw.no_change else new[index]
        found.append((quote(name), value))
    return found


def _refusal(table: str) -> RefusedStatementError:
    return RefusedStatementError(
        f"table {table} has text that is no UTF-16, in which this database keeps its "
        "text (pragma encoding): half of a surrogate pair, say. It cannot be "
        "replicated; keep such bytes as a BLOB"
    )
