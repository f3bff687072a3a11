"""The columns that tables had, as of every entry."""

import apsw
import pytest

from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.storage.schema import columns, system
from nexus.storage.schema.columns import Columns
from nexus.storage.schema.tables import read_tables

POSITION = Position(Epoch(1), Offset(7), HistoryId("cafe"))


@pytest.fixture
def connection(connection: apsw.Connection) -> apsw.Connection:
    system.create(connection)
    columns.begin(connection)
    return connection


def run(connection: apsw.Connection, offset: int, step: int, sql: str) -> None:
    """A schema statement, as an operation of an entry."""
    before = read_tables(connection)
    connection.execute(sql)
    shapes = columns.changed(before, read_tables(connection))
    columns.keep(connection, Offset(offset), step, shapes)


def test_a_table_has_the_columns_of_before_each_operation(
    connection: apsw.Connection,
) -> None:
    run(connection, 2, 0, "create table T(a integer primary key, b)")
    run(connection, 5, 1, "alter table T rename b to c")
    run(connection, 5, 3, "drop table T")

    def names(offset: int, step: int) -> tuple[str, ...] | None:
        found = columns.find(connection, "t", Offset(offset), step)
        return None if found is None else found.names

    assert names(2, 0) is None
    assert names(2, 1) == names(4, 0) == names(5, 1) == ("a", "b")
    assert names(5, 2) == names(5, 3) == ("a", "c")
    assert names(5, 4) is None
    assert columns.shapes_at(connection, Offset(5), 3) == {"t": None}
    assert columns.shapes_at(connection, Offset(5), 2) == {}


def test_rows_without_a_key_begin_with_their_rowid(connection: apsw.Connection) -> None:
    run(connection, 1, 0, "create table t(a, b generated always as (a + 1), c)")
    run(connection, 2, 0, "create table k(b, a, c, primary key (a, b)) without rowid")

    assert columns.find(connection, "t", Offset(2), 0) == Columns(
        ("_rowid_", "a", "c"), ("_rowid_",)
    )
    assert columns.find(connection, "k", Offset(3), 0) == Columns(
        ("b", "a", "c"), ("a", "b")
    )


def test_what_is_no_tables_matter_changes_no_columns(
    connection: apsw.Connection,
) -> None:
    run(connection, 1, 0, "create table t(a)")
    run(connection, 2, 0, "create index i on t(a)")

    assert columns.shapes_at(connection, Offset(2), 0) == {}


def test_all_tables_of_a_virtual_one_are_known(connection: apsw.Connection) -> None:
    run(connection, 1, 0, "create virtual table t using fts5(a)")

    shapes = columns.shapes_at(connection, Offset(1), 0)
    assert {"t_data", "t_idx", "t_content", "t_docsize", "t_config"} == set(shapes)


def test_what_is_known_stays_known_when_the_node_starts_again(
    connection: apsw.Connection,
) -> None:
    run(connection, 2, 0, "create table t(a)")
    system.write_position(connection, POSITION)

    columns.begin(connection)

    assert columns.known_since(connection) == 0
    assert columns.find(connection, "t", Offset(3), 0) is not None


def test_columns_that_others_changed_are_known_from_then_on(
    connection: apsw.Connection,
) -> None:
    run(connection, 2, 0, "create table t(a)")
    connection.execute("alter table t add b")
    system.write_position(connection, POSITION)

    columns.begin(connection)

    assert columns.known_since(connection) == 7
    assert columns.find(connection, "t", Offset(7), 0) is None
    found = columns.find(connection, "t", Offset(8), 0)
    assert found is not None
    assert found.names == ("_rowid_", "a", "b")


def test_a_database_of_an_older_version_begins_with_what_it_has(
    connection: apsw.Connection,
) -> None:
    connection.execute("create table t(a); delete from nexus_columns")
    assert columns.known_since(connection) == 0
    system.write_position(connection, POSITION)

    columns.begin(connection)

    assert columns.known_since(connection) == 7


def test_columns_that_another_version_keeps_under_other_names_are_known_anew(
    connection: apsw.Connection,
) -> None:
    run(connection, 2, 0, 'create table "Ä"(a)')
    connection.execute("update nexus_columns set name = 'ä' where name = 'Ä'")
    system.write_position(connection, POSITION)

    columns.begin(connection)

    assert columns.known_since(connection) == 7
    assert columns.find(connection, "Ä", Offset(8), 0) is not None


def test_what_only_dropped_entries_need_is_forgotten(
    connection: apsw.Connection,
) -> None:
    run(connection, 2, 0, "create table t(a)")
    run(connection, 3, 0, "alter table t add b")
    run(connection, 4, 0, "alter table t add c")
    run(connection, 2, 1, "create table gone(a)")
    run(connection, 4, 1, "drop table gone")
    run(connection, 6, 0, "alter table t add d")

    columns.forget_before(connection, Offset(5))

    kept = connection.execute(
        "select name, \"offset\" from nexus_columns where name <> '' order by 1, 2"
    ).fetchall()
    assert kept == [("t", 4), ("t", 6)]
    assert columns.find(connection, "t", Offset(5), 0) is not None


def test_a_rewind_leaves_what_is_known_of_the_entries_to_come(
    connection: apsw.Connection,
) -> None:
    connection.execute("create table t(a); delete from nexus_columns")
    system.write_position(connection, POSITION)
    columns.begin(connection)

    system.forget_after(connection, Offset(5))

    assert columns.known_since(connection) == 5
    assert columns.find(connection, "t", Offset(6), 0) is not None


def test_what_a_savepoint_takes_back_changed_no_table() -> None:
    kept = columns.SchemaChanges([(0, {"a": None}), (2, {"b": None})])

    kept.back_to(2)

    assert kept == [(0, {"a": None})]
