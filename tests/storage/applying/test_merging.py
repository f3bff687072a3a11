"""Row changes are applied, neighbours as one, and a misfit is told."""

from collections.abc import Iterator

import apsw
import pytest

from nexus.storage.applying.merging import RowApplier
from nexus.storage.changesets.conflicts import RowConflictError

SCHEMA = (
    "create table t(id integer primary key, v unique); "
    "create table c(id integer primary key, v unique on conflict ignore)"
)


@pytest.fixture
def master() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    yield connection
    connection.close()


@pytest.fixture
def replica() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    yield connection
    connection.close()


def changeset(connection: apsw.Connection, sql: str) -> bytes:
    session = apsw.Session(connection, "main")
    session.attach()
    connection.execute(sql)
    made = session.changeset()
    session.close()
    return made


def rows(connection: apsw.Connection) -> list[object]:
    return [
        connection.execute(f"select id, cast(v as blob) from {table}").fetchall()
        for table in "tc"
    ]


def test_neighbours_are_applied_as_one(
    master: apsw.Connection, replica: apsw.Connection
) -> None:
    made = [
        changeset(master, sql)
        for sql in (
            "insert into t values (1, 'a'), (2, 'b')",
            "update t set v = v || v",
            "delete from t where id = 2",
            "insert into c values (1, 1)",
        )
    ]
    applier = RowApplier(replica)

    applier.apply_merged(made)
    applier.apply_merged([])

    assert rows(replica) == rows(master)
    assert replica.total_changes() == 2, "four changesets were one"


def test_a_lone_changeset_is_applied_as_it_is(
    master: apsw.Connection, replica: apsw.Connection
) -> None:
    RowApplier(replica).apply_merged([changeset(master, "insert into t values (1, 2)")])

    assert rows(replica) == rows(master)


@pytest.mark.parametrize("table", ["t", "c"])
def test_nothing_is_applied_of_what_does_not_fit(
    master: apsw.Connection, replica: apsw.Connection, table: str
) -> None:
    made = changeset(
        master, f"insert into t values (5, 5); insert into {table} values (1, 'a')"
    )
    replica.execute(f"insert into {table} values (1, 'b')")
    before = rows(replica)

    with pytest.raises(RowConflictError, match=f"INSERT in table {table}, key"):
        RowApplier(replica).apply(made)

    assert rows(replica) == before


def test_text_that_is_no_utf8_is_applied_and_its_misfit_is_told(
    master: apsw.Connection, replica: apsw.Connection
) -> None:
    made = changeset(master, "insert into t values (1, cast(x'ff' as text))")
    applier = RowApplier(replica)

    applier.apply(made)
    assert rows(replica) == rows(master)

    with pytest.raises(RowConflictError):
        applier.apply(made)
    applier.apply(made, respelled=True)
    assert rows(replica) == rows(master)


def test_a_row_that_stands_already_is_passed_over_where_keys_are_respelled(
    master: apsw.Connection, replica: apsw.Connection
) -> None:
    made = changeset(master, "insert into t values (1, 2)")
    replica.execute("insert into t values (1, 2)")
    applier = RowApplier(replica)

    applier.apply(made, respelled=True)
    with pytest.raises(RowConflictError):
        applier.apply(made)


def test_a_table_that_gets_a_clause_needs_care_from_then_on(
    replica: apsw.Connection,
) -> None:
    master = apsw.Connection(":memory:")
    master.execute("create table d(id integer primary key, v unique)")
    master.execute("insert into d values (1, 1), (2, 2)")
    applier = RowApplier(replica)
    replica.execute(
        "create table d(id integer primary key, v unique on conflict ignore); "
        "insert into d values (1, 1), (2, 2)"
    )

    applier.schema_changed()
    applier.apply(changeset(master, "update d set v = v + 9; update d set v = 12 - v"))

    assert replica.execute("select v from d order by id").fetchall() == [(2,), (1,)]
    master.close()
