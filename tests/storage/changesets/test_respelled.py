"""Keys that change to a value which compares equal."""

import apsw
import pytest

from nexus.model.operation import Rows
from nexus.storage.changesets.changes import read_changes
from nexus.storage.changesets.respelled import rows_operations
from nexus.storage.schema.tables import read_tables

SCHEMA = (
    "create table t(k text collate nocase primary key, v, w); "
    "create table n(k primary key, v); "
    "create table i(id integer primary key, v)"
)
INSERT, DELETE = apsw.SQLITE_INSERT, apsw.SQLITE_DELETE
LEAST = -(1 << 63)


@pytest.fixture
def connection(connection: apsw.Connection) -> apsw.Connection:
    connection.execute(SCHEMA)
    connection.execute(
        "insert into t values ('a', 1, 'x'), ('b', 2, 'y'); insert into n values (1, 1)"
    )
    return connection


def operations(
    connection: apsw.Connection, *statements: str, watchful: bool = True
) -> list[Rows]:
    session = apsw.Session(connection, "main")
    session.attach()
    for statement in statements:
        connection.execute(statement)
    changeset = session.changeset()
    session.close()
    tables = read_tables(connection)
    return rows_operations(connection, changeset, tables, watchful=watchful)


def told(rows: Rows) -> list[tuple[object, ...]]:
    return [
        (change.opcode, change.old, change.new)
        for change in read_changes(rows.changeset)
    ]


def test_a_respelled_key_goes_as_a_whole_row_before_it_comes(
    connection: apsw.Connection,
) -> None:
    gone, rest = operations(connection, "update t set k = 'A', v = 9 where k = 'a'")

    assert told(gone) == [(DELETE, ("a", 1, "x"), None)]
    assert told(rest) == [(INSERT, None, ("A", 9, "x"))]
    assert gone.alone
    assert rest.alone


def test_a_number_that_only_changes_its_type_is_respelled_too(
    connection: apsw.Connection,
) -> None:
    gone, rest = operations(connection, "update n set k = 1.0")

    assert repr(told(gone)) == repr([(DELETE, (1, 1), None)])
    assert repr(told(rest)) == repr([(INSERT, None, (1.0, 1))])


def test_a_key_that_becomes_another_is_told_as_it_was_captured(
    connection: apsw.Connection,
) -> None:
    (rows,) = operations(connection, "update t set k = 'c' where k = 'a'")

    assert rows.alone
    assert sorted(told(rows), key=repr) == [
        (INSERT, None, ("c", 1, "x")),
        (DELETE, ("a", 1, "x"), None),
    ]


def test_a_table_with_one_spelling_for_each_key_is_not_looked_at(
    connection: apsw.Connection,
) -> None:
    (rows,) = operations(connection, "insert into i values (1, 'v')", watchful=False)

    assert not rows.alone


def test_the_least_integer_is_looked_at_in_every_table(
    connection: apsw.Connection,
) -> None:
    connection.execute("create table j(k int primary key, v)")
    connection.execute(f"insert into j values ({LEAST}, 0)")

    found = operations(
        connection, "update j set k = -9223372036854775808.0", watchful=False
    )
    (kept,) = operations(
        connection, f"insert into i values ({LEAST}, 'v')", watchful=False
    )

    assert [told(rows)[0][0] for rows in found] == [DELETE, INSERT]
    assert not kept.alone


def test_text_that_is_no_utf8_keeps_its_bytes(connection: apsw.Connection) -> None:
    connection.execute("insert into t values (cast(x'61ff' as text), 1, 2)")

    gone, rest = operations(
        connection, "update t set k = cast(x'41ff' as text) where v = 1 and w = 2"
    )

    assert told(gone) == [(DELETE, ("a\udcff", 1, 2), None)]
    assert told(rest) == [(INSERT, None, ("A\udcff", 1, 2))]


def test_a_key_that_is_spelled_back_and_forth_is_told_as_the_row_that_is_there(
    connection: apsw.Connection,
) -> None:
    (rows,) = operations(
        connection,
        "update t set k = 'A' where k = 'a'",
        "update t set k = 'a' where k = 'a'",
    )

    assert rows.alone
    assert told(rows) == [(INSERT, None, ("a", 1, "x"))]
