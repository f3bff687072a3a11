"""What a table is, as far as a session cares."""

import apsw
import pytest

from nexus.storage.schema.tables import (
    Table,
    hash_schema,
    nullable_key_triggers,
    read_tables,
)


def table(connection: apsw.Connection, definition: str) -> Table:
    connection.execute(f"create table T({definition}")
    return read_tables(connection)["t"]


@pytest.mark.parametrize(
    ("definition", "key", "rowid_is_key", "rowid_travels"),
    [
        ("a, b)", (), False, True),
        ("a integer primary key, b)", ("a",), True, True),
        ("a INTEGER, b, primary key(a))", ("a",), True, True),
        ("a integer primary key desc, b)", ("a",), False, False),
        ("a int primary key, b)", ("a",), False, False),
        ("a text, b, primary key(b, a))", ("b", "a"), False, False),
        ("a integer primary key) without rowid", ("a",), False, True),
        ("a text primary key) without rowid", ("a",), False, True),
    ],
)
def test_the_key_and_whether_the_rowid_travels(
    connection: apsw.Connection,
    definition: str,
    key: tuple[str, ...],
    rowid_is_key: bool,  # noqa: FBT001
    rowid_travels: bool,  # noqa: FBT001
) -> None:
    found = table(connection, definition)

    assert (found.name, found.key) == ("T", key)
    assert found.keyless is not bool(key)
    assert (found.rowid_is_key, found.rowid_travels) == (rowid_is_key, rowid_travels)


@pytest.mark.parametrize(
    ("definition", "nullable"),
    [
        ("a text primary key)", ("a",)),
        ("a text, b not null, c, primary key(c, b, a))", ("c", "a")),
        ("a text not null primary key)", ()),
        ("a integer primary key)", ()),
        ("a int primary key)", ("a",)),
        ("a text primary key) without rowid", ()),
        ("a)", ()),
    ],
)
def test_which_columns_of_a_key_may_be_null(
    connection: apsw.Connection, definition: str, nullable: tuple[str, ...]
) -> None:
    assert table(connection, definition).nullable_key == nullable


@pytest.mark.parametrize(
    ("definition", "watchful"),
    [
        ("a text primary key)", False),
        ("a varchar(9) primary key)", False),
        ("a int primary key)", False),
        ("a integer primary key)", False),
        ("a)", False),
        ("a text collate nocase primary key)", True),
        ("a text primary key, b collate nocase)", True),
        ("a primary key)", True),
        ("a blob primary key)", True),
        ("a real primary key)", True),
        ("a numeric, b text, primary key(b, a))", True),
        ("a any primary key) strict", True),
        ("a real primary key) strict", True),
        ("a text primary key) strict", False),
        ("a int primary key) strict", False),
    ],
)
def test_where_two_spellings_of_a_key_compare_equal(
    connection: apsw.Connection,
    definition: str,
    watchful: bool,  # noqa: FBT001
) -> None:
    assert table(connection, definition).watchful is watchful


def test_generated_columns_are_not_among_those_that_are_stored(
    connection: apsw.Connection,
) -> None:
    found = table(
        connection, "a, b as (a + 1) stored, c as (a + 2), d, primary key(d))"
    )

    assert (found.columns, found.generated) == (("a", "d"), True)
    assert not read_tables(apsw.Connection(":memory:"))


def test_shadow_tables_are_there_and_have_no_key_to_guard(
    connection: apsw.Connection,
) -> None:
    connection.execute("create virtual table words using fts4(word)")
    connection.execute("create table nexus_own(a); create view v as select 1")
    connection.execute("create temp table other(a)")

    found = read_tables(connection)

    assert "words_segdir" in found
    assert not {"words", "nexus_own", "v", "other"} & found.keys()
    assert all(shadow.nullable_key == () for shadow in found.values())


def test_a_trigger_refuses_a_null_key_with_the_tables_name(
    connection: apsw.Connection,
) -> None:
    found = table(connection, '"it\'s" text, b not null, primary key("it\'s", b))')
    for sql in nullable_key_triggers(found).values():
        connection.execute(sql)
    connection.execute("insert into t values ('x', 1)")

    for sql in (
        "insert into t values (null, 1)",
        'update t set "it\'s" = null',
        "insert or ignore into t(b) values (2)",
    ):
        with pytest.raises(apsw.ConstraintError, match="table T has a row whose"):
            connection.execute(sql)
    assert connection.execute("select count(*) from t").get == 1


def test_a_table_whose_key_cannot_be_null_needs_no_trigger(
    connection: apsw.Connection,
) -> None:
    assert nullable_key_triggers(table(connection, "a integer primary key)")) == {}


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ("create table u(a)", True),
        ("create index i on t(a)", True),
        ("alter table t add column b", True),
        ("create table nexus_own(a)", False),
        ("insert into t values (1)", False),
        ("create temp table u(a)", False),
        ("analyze", False),
    ],
)
def test_the_schemas_hash_is_of_the_users_objects_alone(
    connection: apsw.Connection,
    change: str,
    differs: bool,  # noqa: FBT001
) -> None:
    connection.execute("create table t(a)")
    before = hash_schema(connection)

    connection.execute(change)

    assert (hash_schema(connection) != before) is differs


def test_names_that_differ_beyond_ascii_alone_are_two_tables(
    connection: apsw.Connection,
) -> None:
    connection.execute('create table "Ä"(a); create table "ä"(b); create table "É"(c)')

    assert read_tables(connection).keys() == {"Ä", "ä", "É"}
