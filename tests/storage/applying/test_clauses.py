"""Tables whose constraints carry a conflict clause get their changes as statements."""

from collections.abc import Iterator

import apsw
import pytest

from nexus.storage.applying.clauses import apply_to_tables, tables_with_clauses
from nexus.storage.changesets.conflicts import RowConflictError

SCHEMA = (
    "create table t(id integer primary key, v unique on conflict replace, w); "
    "create table k(v unique on conflict ignore, w, g as (w + 1) stored); "
    "create table plain(id integer primary key, v unique)"
)
FILL = (
    "insert into t values (1, 'a', 1), (2, 'b', 2), (3, cast(x'ff' as text), 3); "
    "insert into k values (1, 1), (2, 2); insert into plain values (1, 1), (2, 2)"
)
TABLES = ("t", "k", "plain")


@pytest.fixture
def master() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(f"{SCHEMA}; {FILL}")
    yield connection
    connection.close()


@pytest.fixture
def replica() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(f"{SCHEMA}; {FILL}")
    yield connection
    connection.close()


def changeset(connection: apsw.Connection, *statements: str) -> bytes:
    session = apsw.Session(connection, "main")
    session.config(apsw.SQLITE_SESSION_OBJCONFIG_ROWID, 1)
    session.attach()
    for statement in statements:
        connection.execute(statement)
    made = session.changeset()
    session.close()
    return made


def content(connection: apsw.Connection) -> list[object]:
    return [
        connection.execute(
            f"select rowid, typeof(v), cast(v as blob), * from {table} order by rowid"
            if table != "t"
            else "select id, typeof(v), cast(v as blob), w from t order by id"
        ).fetchall()
        for table in TABLES
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "create table x(a unique on conflict ignore)",
        "create table x(a, primary key(a) on conflict replace)",
        "create table x(a not null ON CONFLICT Rollback)",
    ],
)
def test_a_clause_that_changes_what_an_apply_does_is_seen(sql: str) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(sql)

    assert tables_with_clauses(connection) == {"x"}


@pytest.mark.parametrize(
    "sql",
    [
        "create table x(a unique on conflict abort)",
        "create table x(a unique on conflict fail)",
        "create table x(a default 'on conflict ignore', conflict)",
        'create table x("on conflict ignore")',
        "create table y(a); create trigger x after insert on y begin "
        "insert into y values (1) on conflict do nothing; end",
    ],
)
def test_what_only_looks_like_one_is_none(sql: str) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(sql)

    assert tables_with_clauses(connection) == frozenset()


@pytest.mark.parametrize(
    "statements",
    [
        ("update t set v = case v when 'a' then 'b' when 'b' then 'a' else v end",),
        ("update k set v = v + 1",),
        ("replace into t values (4, 'a', 9), (1, 'c', 9)", "delete from k"),
        ("update t set w = w + 1", "update t set v = v || 'x' where id = 3"),
        ("insert into k values (7, 8)", "update plain set v = v + 10"),
        ("update t set v = null", "delete from t where id = 3"),
    ],
)
def test_the_old_rows_go_before_the_new_ones_come(
    master: apsw.Connection, replica: apsw.Connection, statements: tuple[str, ...]
) -> None:
    made = changeset(master, *statements)

    apply_to_tables(replica, made, None, respelled=False)

    assert content(replica) == content(master)


def test_other_tables_are_left_alone(
    master: apsw.Connection, replica: apsw.Connection
) -> None:
    made = changeset(master, "update t set w = 9", "update plain set v = v + 10")

    apply_to_tables(replica, made, {"t"}, respelled=False)

    assert replica.execute("select distinct w from t").get == 9
    assert replica.execute("select max(v) from plain").get == 2


@pytest.mark.parametrize(
    ("statement", "meanwhile", "reason"),
    [
        ("update t set w = 9 where id = 1", "delete from t", "no such row here"),
        ("delete from t where id = 1", "update t set w = 8", "other values"),
        ("insert into t values (9, 'z', 1)", "insert into t values (8, 'z', 1)",
         "a constraint forbids it"),
        ("insert into k values (9, 1)", "insert into k values (9, 2)",
         "a constraint forbids it"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_told_whatever_the_clause_says(
    master: apsw.Connection,
    replica: apsw.Connection,
    statement: str,
    meanwhile: str,
    reason: str,
) -> None:
    made = changeset(master, statement)
    replica.execute(meanwhile)

    with pytest.raises(RowConflictError, match=reason):
        apply_to_tables(replica, made, None, respelled=False)


def test_a_row_that_stands_already_is_passed_over_where_keys_are_respelled(
    master: apsw.Connection, replica: apsw.Connection
) -> None:
    made = changeset(master, "insert into t values (9, 'z', 1)")
    replica.execute("insert into t values (9, 'z', 1)")

    apply_to_tables(replica, made, None, respelled=True)
    with pytest.raises(RowConflictError):
        apply_to_tables(replica, made, None, respelled=False)
    replica.execute("update t set w = 1.0 where id = 9")
    with pytest.raises(RowConflictError):
        apply_to_tables(replica, made, None, respelled=True)
