"""Which columns each table had, and since which entry: the names for a log's values.

A changeset counts columns and does not name them, and the schema of today says nothing
of an entry from before an ALTER TABLE. So each schema statement leaves here, in its own
SQLite transaction and on every node alike, the columns of the tables that it changed.
Only for entries that the log still holds: what is older goes with them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec

from nexus.model.names import folded
from nexus.model.operation import Operation, Schema
from nexus.model.position import NO_OFFSET, Offset
from nexus.storage.schema.system import read_position
from nexus.storage.schema.tables import Table, hash_schema, read_tables

ROWID: Final = "_rowid_"
"""What a row without a key is known by: its first value, before its columns'."""

_SINCE: Final = ""
"""No table's name: its row holds the offset after which the columns are known, and the
hash of the schema that the newest of them belong to."""


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """A table's stored columns, as its changes count them."""

    names: tuple[str, ...]
    key: tuple[str, ...]

    @classmethod
    def of(cls, table: Table) -> "Columns":
        """As its changes count them: a table without a key has the rowid first."""
        if table.keyless:
            return cls((ROWID, *table.columns), (ROWID,))
        return cls(table.columns, table.key)


Shapes = Mapping[str, Columns | None]
"""By folded name; None: there is no such table any more."""

SchemaChange = tuple[int, Shapes]
"""An operation's place in its entry, and the tables that it changed."""

_decoder: Final = msgspec.json.Decoder(Columns)


def changed(before: Mapping[str, Table], after: Mapping[str, Table]) -> Shapes:
    """The tables that are new, gone, or have other columns."""
    old = {name: Columns.of(table) for name, table in before.items()}
    new = {name: Columns.of(table) for name, table in after.items()}
    return {name: new.get(name) for name in old | new if old.get(name) != new.get(name)}


class SchemaChanges(list[SchemaChange]):
    """What the schema statements of one transaction made of the tables, so far."""

    def add(
        self,
        operations: Sequence[Operation],
        before: Mapping[str, Table],
        after: Mapping[str, Table],
    ) -> None:
        """The last schema statement among the transaction's operations was run."""
        step = max(
            step for step, done in enumerate(operations) if isinstance(done, Schema)
        )
        self.append((step, changed(before, after)))

    def back_to(self, kept: int) -> None:
        """Only so many operations of the transaction stand."""
        self[:] = [change for change in self if change[0] < kept]


def begin(connection: apsw.Connection) -> None:
    """Know the columns from the applied position on, unless they are known already.

    They are not in a database that was no node's yet, or whose schema another version
    of Nexus has changed since, or has kept under other names.
    """
    schema = hash_schema(connection).hex()
    tables = read_tables(connection)
    found: Any = connection.execute(
        "select columns from nexus_columns where name = ?", (_SINCE,)
    ).fetchone()
    if found is not None and found[0] == schema and tables.keys() <= _kept(connection):
        return
    offset = read_position(connection).offset
    shapes = changed({}, tables)
    with connection:  # a transaction, or a savepoint
        connection.execute("delete from nexus_columns")
        _insert(connection, offset, 0, shapes)
        connection.execute(
            "insert into nexus_columns values (?, ?, 0, ?)", (_SINCE, offset, schema)
        )


def _kept(connection: apsw.Connection) -> set[str]:
    """The names of all tables whose columns are known."""
    rows: list[Any] = connection.execute(
        "select distinct name from nexus_columns"
    ).fetchall()
    return {name for (name,) in rows}


def keep(
    connection: apsw.Connection, offset: Offset, step: int, shapes: Shapes
) -> None:
    """What the operation in place `step` of this entry has changed.

    Within the caller's transaction, after the operation.
    """
    _insert(connection, offset, step, shapes)
    connection.execute(
        "update nexus_columns set columns = ? where name = ?",
        (hash_schema(connection).hex(), _SINCE),
    )


def find(
    connection: apsw.Connection, table: str, offset: Offset, step: int
) -> Columns | None:
    """The columns of a table before this operation; None if there is no such table."""
    row: Any = connection.execute(
        'select columns from nexus_columns where name = ? and ("offset", step) < (?, ?)'
        ' order by "offset" desc, step desc limit 1',
        (folded(table), offset, step),
    ).fetchone()
    return None if row is None or row[0] is None else _decoder.decode(row[0])


def shapes_at(connection: apsw.Connection, offset: Offset, step: int) -> Shapes:
    """What this operation has changed."""
    rows: list[Any] = connection.execute(
        "select name, columns from nexus_columns "
        'where "offset" = ? and step = ? and name <> ? order by name',
        (offset, step, _SINCE),
    ).fetchall()
    return {
        name: None if columns is None else _decoder.decode(columns)
        for name, columns in rows
    }


def known_since(connection: apsw.Connection) -> Offset:
    """Of every entry behind this one the columns are known, if the log holds it."""
    row: Any = connection.execute(
        'select "offset" from nexus_columns where name = ?', (_SINCE,)
    ).fetchone()
    return NO_OFFSET if row is None else Offset(row[0])


def forget_before(connection: apsw.Connection, first: Offset) -> None:
    """Drop what only entries before `first` need, within the caller's transaction."""
    connection.execute(
        "delete from nexus_columns where exists (select 1 from nexus_columns as newer "
        'where newer.name = nexus_columns.name and newer."offset" < ?1 and '
        '(newer."offset", newer.step) > (nexus_columns."offset", nexus_columns.step))',
        (first,),
    )
    connection.execute(
        'delete from nexus_columns where columns is null and "offset" < ?', (first,)
    )


def _insert(
    connection: apsw.Connection, offset: Offset, step: int, shapes: Shapes
) -> None:
    connection.executemany(
        "insert or replace into nexus_columns values (?, ?, ?, ?)",
        [
            (
                name,
                offset,
                step,
                None if shape is None else msgspec.json.encode(shape).decode(),
            )
            for name, shape in shapes.items()
        ],
    )
