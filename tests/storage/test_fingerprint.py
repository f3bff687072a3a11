"""Two databases hold the same where, and only where, their hashes are equal."""

from collections.abc import Iterator

import apsw
import pytest

from nexus.errors import StorageError
from nexus.storage.fingerprint import Fingerprints, fingerprint, rowid_name

SCHEMA = (
    "create table t(id integer primary key, v); create table k(v, w); "
    "create table made(id text primary key, a, s as (a + 1) stored, v as (a + 2)); "
    "create table counted(id integer primary key autoincrement)"
)
FILL = (
    "insert into t values (1, 'a'), (2, 2.5), (3, null), (4, x'ff'); "
    "insert into k values (1, 1), (2, 2); insert into made values ('x', 1); "
    "insert into counted values (7)"
)


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    connection = filled()
    yield connection
    connection.close()


def filled(*statements: str) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(f"{SCHEMA}; {FILL}")
    for statement in statements:
        connection.execute(statement)
    return connection


def difference(one: Fingerprints, other: Fingerprints) -> set[str]:
    """The tables that differ; `schema` too if it does."""
    names = one.tables.keys() | other.tables.keys()
    found = {n for n in names if one.tables.get(n) != other.tables.get(n)}
    return found | ({"schema"} if one.schema != other.schema else set())


def test_every_table_has_its_rows_counted(connection: apsw.Connection) -> None:
    found = fingerprint(connection)

    assert {name: table.rows for name, table in found.tables.items()} == {
        "counted": 1,
        "k": 2,
        "made": 1,
        "sqlite_sequence": 1,
        "t": 4,
    }
    assert list(found.tables) == sorted(found.tables)


@pytest.mark.parametrize(
    ("statement", "differs"),
    [
        ("update t set v = 'A' where id = 1", {"t"}),
        ("update t set v = '2.5' where id = 2", {"t"}),
        ("update t set v = cast(x'ff' as text) where id = 4", {"t"}),
        ("update t set v = 0 where id = 3", {"t"}),
        ("update k set rowid = 9 where v = 1", {"k"}),
        ("delete from k", {"k"}),
        ("update made set a = 2", {"made"}),
        ("update sqlite_sequence set seq = 8", {"sqlite_sequence"}),
        ("create table empty(a)", {"empty", "schema"}),
        ("create index i on t(v)", {"schema"}),
        ("pragma user_version = 1", {"schema"}),
        ("pragma application_id = 1", {"schema"}),
    ],
)
def test_one_difference_is_seen_where_it_is(
    connection: apsw.Connection, statement: str, differs: set[str]
) -> None:
    other = filled(statement)

    assert difference(fingerprint(connection), fingerprint(other)) == differs


@pytest.mark.parametrize(
    "statements",
    [
        ("delete from t", "insert into t values (4, x'ff'), (3, null), (2, 2.5), "
         "(1, 'a')"),
        ("analyze",),
        ("vacuum",),
        ("create table nexus_own(a)",),
        ("update t set v = v",),
    ],
)  # fmt: skip
def test_what_is_no_users_content_makes_no_difference(
    connection: apsw.Connection, statements: tuple[str, ...]
) -> None:
    other = filled(*statements)

    assert difference(fingerprint(connection), fingerprint(other)) == set()


def test_zero_and_its_negative_are_one_value_and_nothing_else_is() -> None:
    zero, negative, tiny = (
        fingerprint(filled(f"update t set v = {value} where id = 2"))
        for value in ("0.0", "-1 * 0.0", "-5e-324")
    )

    assert difference(zero, negative) == set()
    assert difference(zero, tiny) == {"t"}


def test_any_bytes_as_text_are_hashed_exactly() -> None:
    found = [
        fingerprint(filled(f"update t set v = cast(x'{text}' as text) where id = 1"))
        for text in ("ff", "fe", "ff", "fffe")
    ]

    assert difference(found[0], found[2]) == set()
    assert difference(found[0], found[1]) == difference(found[0], found[3]) == {"t"}


def test_many_rows_are_hashed_like_few(connection: apsw.Connection) -> None:
    numbers = (
        "with recursive n(i) as (select 5 union all select i + 1 from n where i < 500) "
        "insert into t select i, {} from n"
    )
    whole, last_differs = (
        fingerprint(filled(numbers.format(value)))
        for value in ("i", "iif(i = 500, 0, i)")
    )

    assert whole.tables["t"].rows == 500
    assert difference(whole, last_differs) == {"t"}
    assert difference(whole, fingerprint(connection)) == {"t"}


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        (("a",), "_rowid_"),
        (("_ROWID_",), "rowid"),
        (("_rowid_", "Rowid"), "oid"),
        (("_rowid_", "rowid", "oid"), None),
    ],
)
def test_a_rowid_has_a_name_that_no_column_hides(
    columns: tuple[str, ...], name: str | None
) -> None:
    assert rowid_name(columns) == name


def test_a_table_that_hides_its_rowid_is_hashed_by_its_rows() -> None:
    made = "create table h(_rowid_, rowid, oid)"
    one = fingerprint(filled(made, "insert into h values (1, 2, 3), (0, 2, 3)"))
    other = fingerprint(filled(made, "insert into h values (0, 2, 3), (1, 2, 3)"))

    assert difference(one, other) == set()


def test_a_database_that_cannot_be_read_to_its_end_is_told() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("create table t(a); create table u(a)")
    connection.execute(
        "pragma writable_schema = 1; "
        "update sqlite_schema set rootpage = 999 where name = 'u'; "
        "pragma writable_schema = reset"
    )

    with pytest.raises(StorageError, match=r"the tables could not be hashed: .*mal"):
        fingerprint(connection)


def test_an_empty_table_of_counters_is_as_none() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("create table t(a)")
    before = fingerprint(connection)

    connection.execute("create table u(id integer primary key autoincrement)")
    connection.execute("drop table u")

    assert fingerprint(connection) == before
