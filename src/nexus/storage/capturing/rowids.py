"""Say rightly what a session says wrongly of tables without a key.

A session finds a row that it has seen already in a table of hashes. In a table without
a key it computes the hash of a rowid in one way when it looks for a row, and in another
when it enlarges its table of hashes (`sessionPreupdateHash`, `sessionChangeHash` in
https://sqlite.org/src/file?name=ext/session/sqlite3session.c), which it does at 128
rows, at 256, and so on. A row that was seen before is not found again then, and is
taken for a new one: of 128 rows that one UPDATE changes, one is also reported as an
INSERT. So the changes of such tables are made anew: from the rows as they are now, and
as they were, which another connection still sees.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import apsw

from nexus.model.names import folded
from nexus.model.operation import Operation, Rows, Schema
from nexus.model.statements import names, quote
from nexus.storage.changesets.changes import (
    Change,
    Row,
    deletion,
    fetch_exactly,
    insertion,
    read_changes,
    update,
    write_changes,
)
from nexus.storage.changesets.conflicts import same_row
from nexus.storage.database import Database
from nexus.storage.schema.tables import Table

FEW_CHANGES: Final = 8
"""Changes that no session gets wrong: a change touches two rows, and one more for each
unique constraint that REPLACE meets, and a session is right about fewer than 128."""

_COPY: Final = "nexus_before_"


class Rowids:
    """Puts the changesets of one connection right, in the order they are made."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = database.writer
        self._keyless: dict[str, Table] = {}
        self._changes_before = 0
        self._earlier: list[Operation] = []
        """What the writer's transaction did before the client's began."""
        self._begun = 0
        """The writer's transaction that it did it in."""
        self._copied: frozenset[str] = frozenset()

    def know(self, tables: Mapping[str, Table]) -> None:
        """The schema's tables, by folded name."""
        self._keyless = {name: t for name, t in tables.items() if t.keyless}

    def begin(self, last: Iterable[Operation]) -> None:
        """A client's transaction begins; the one before it did `last`, and kept it."""
        if self._begun != self._database.begun:
            self._begun, self._earlier = self._database.begun, []
        else:
            self._earlier += last

    def watch(self, so_far: Sequence[Operation]) -> None:
        """A session begins; the client's transaction has done `so_far`."""
        self._changes_before = self._writer.total_changes()
        for name in self._copied:
            _drop_copy(self._writer, name)
        altered = self._altered((*self._earlier, *so_far)) if self._keyless else ()
        for name in altered:
            _copy(self._writer, self._keyless[name])
        self._copied = frozenset(altered)

    def put_right(
        self, changeset: bytes, touched: Collection[str], so_far: Sequence[Operation]
    ) -> bytes:
        """The session's changeset as it should be.

        The client's transaction had done `so_far` when the session began.
        """
        keyless = {n: t for n, t in self._keyless.items() if n in touched}
        changes = self._writer.total_changes() - self._changes_before
        if not (changeset and keyless) or changes <= FEW_CHANGES:
            return changeset
        with self._database.extra_reader() as reader:
            reader.execute("begin")
            before = _RowsBefore(reader, self._writer, keyless, self._copied)
            before.follow((*self._earlier, *so_far))
            if not before.changed and _all_are_new(changeset, keyless, before):
                return changeset
            return write_changes(_made_anew(changeset, keyless, before))

    def _altered(self, operations: Iterable[Operation]) -> set[str]:
        """The tables that another connection does not see as they were a moment ago."""
        altered: set[str] = set()
        for operation in operations:
            if isinstance(operation, Schema):
                named = names(operation.sql)
                if named & {"alter", "drop"}:
                    altered |= named & self._keyless.keys()
        return altered


def _copy(writer: apsw.Connection, table: Table) -> None:
    """Keep a table's rows as they are, in a TEMP table until the next session."""
    columns = ", ".join(map(quote, table.columns))
    copy = f"temp.{quote(_COPY + folded(table.name))}"
    # One that was dropped stands again where a client's savepoint was gone back to.
    _drop_copy(writer, folded(table.name))
    writer.execute(f"create table {copy}({columns})")
    writer.execute(
        f"insert into {copy}(_rowid_, {columns}) "  # noqa: S608 - quoted
        f"select _rowid_, {columns} from main.{quote(table.name)}"
    )


def _drop_copy(writer: apsw.Connection, name: str) -> None:
    writer.execute(f"drop table if exists temp.{quote(_COPY + name)}")


def _all_are_new(
    changeset: bytes, keyless: Mapping[str, Table], before: "_RowsBefore"
) -> bool:
    """Whether there are insertions only, one for each row: a quick look at many."""
    inserted: Counter[str] = Counter()
    for change in apsw.Changeset.iter(changeset):
        name = folded(change.name)
        if name in keyless:
            if change.opcode != apsw.SQLITE_INSERT:
                return False
            inserted[name] += 1
    return all(
        count == before.rows_behind_the_last(keyless[name])
        for name, count in inserted.items()
    )


def _made_anew(
    changeset: bytes, keyless: Mapping[str, Table], before: "_RowsBefore"
) -> Iterator[Change]:
    seen: dict[str, set[int]] = {name: set() for name in keyless}
    for change in read_changes(changeset):
        name = folded(change.table)
        table = keyless.get(name)
        if table is None:
            yield change
            continue
        rowid = change.key[0]
        if rowid in seen[name]:
            continue
        seen[name].add(rowid)
        was, now = before.row(table, rowid), before.row_now(table, rowid)
        if was is None and now is not None:
            yield insertion(change, now)
        elif was is not None and now is None:
            yield deletion(change, was)
        elif was is not None and now is not None and not same_row(was, now):
            yield update(change, was, now)


class _RowsBefore:
    """Rows as they were when the session began, whole and with their rowids first."""

    def __init__(
        self,
        reader: apsw.Connection,
        writer: apsw.Connection,
        keyless: Mapping[str, Table],
        copied: Collection[str],
    ) -> None:
        self._writer = writer
        self._keyless = keyless
        self._sources = {
            name: (writer, f"temp.{quote(_COPY + name)}")
            if name in copied
            else (reader, f"main.{quote(table.name)}")
            for name, table in keyless.items()
            if name in copied or _is_there(reader, table)
        }
        """Where to read each; a table that is nowhere was made since, and empty."""
        self._copied = copied
        self.changed: dict[tuple[str, int], Row | None] = {}
        """What the transaction had changed by then; None where a row was gone."""

    def follow(self, earlier: Iterable[Operation]) -> None:
        """What the writer's transaction did before the session began, in order."""
        for operation in earlier:
            if isinstance(operation, Rows):
                for change in read_changes(operation.changeset):
                    table = self._keyless.get(folded(change.table))
                    if table is not None and folded(table.name) not in self._copied:
                        self._follow(table, change)

    def row(self, table: Table, rowid: int) -> Row | None:
        """None if there was no such row."""
        place = (table.name, rowid)
        if place in self.changed:
            return self.changed[place]
        source = self._sources.get(folded(table.name))
        return None if source is None else _fetch(*source, table, rowid)

    def row_now(self, table: Table, rowid: int) -> Row | None:
        """The row as it is; None if there is none."""
        return _fetch(self._writer, f"main.{quote(table.name)}", table, rowid)

    def rows_behind_the_last(self, table: Table) -> int:
        """How many rows have a higher rowid now than any had before."""
        last = None
        if folded(table.name) in self._sources:
            connection, name = self._sources[folded(table.name)]
            last = connection.execute(f"select max(_rowid_) from {name}").get  # noqa: S608
        where = "" if last is None else f"where _rowid_ > {int(last)}"
        count: int = self._writer.execute(
            f"select count(*) from main.{quote(table.name)} {where}"  # noqa: S608
        ).get
        return count

    def _follow(self, table: Table, change: Change) -> None:
        rowid, new = change.key[0], change.new
        if new is not None and change.old is not None:
            was = self.row(table, rowid)
            assert was is not None, "only a row that was there is updated"
            new = tuple(
                old if value is apsw.no_change else value
                for old, value in zip(was, new, strict=True)
            )
        self.changed[table.name, rowid] = new


def _is_there(reader: apsw.Connection, table: Table) -> bool:
    found = reader.execute(
        "select 1 from sqlite_schema where type = 'table' and name = ? collate nocase",
        (table.name,),
    )
    return bool(found.fetchall())


def _fetch(
    connection: apsw.Connection, name: str, table: Table, rowid: int
) -> Row | None:
    columns, sql = _query(name, table.columns)
    try:
        rows: list[Any] = connection.execute(sql, (rowid,)).fetchall()
    except UnicodeDecodeError:
        where = f"from {name} where _rowid_ = ?"
        rows = fetch_exactly(connection, columns, where, (rowid,))
    return rows[0] if rows else None


@lru_cache(maxsize=256)
def _query(name: str, columns: tuple[str, ...]) -> tuple[list[str], str]:
    """The columns of a whole row with its rowid first, and the query for one."""
    found = ["_rowid_", *map(quote, columns)]
    return found, f"select {', '.join(found)} from {name} where _rowid_ = ?"  # noqa: S608
