"""A change of the log's against the rows of a database."""

from typing import Any

import apsw
import pytest

from nexus.storage.changesets.conflicts import (
    RowConflictError,
    key_of,
    same_row,
    same_value,
    stands_already,
)


@pytest.fixture
def connection(connection: apsw.Connection) -> apsw.Connection:
    connection.execute("create table t(a, b, v, primary key(b, a))")
    return connection


def changes(connection: apsw.Connection, sql: str) -> bytes:
    """The changeset of a statement, which is taken back again."""
    connection.execute("savepoint s")
    session = apsw.Session(connection, "main")
    session.attach()
    connection.execute(sql)
    changeset = session.changeset()
    session.close()
    connection.execute("rollback to s; release s")
    return changeset


def conflict(connection: apsw.Connection, changeset: bytes) -> list[RowConflictError]:
    found: list[RowConflictError] = []

    def refuse(reason: int, change: apsw.TableChange) -> int:
        found.append(RowConflictError.of(reason, change))
        return apsw.SQLITE_CHANGESET_OMIT

    apsw.Changeset.apply(changeset, connection, conflict=refuse)
    return found


@pytest.mark.parametrize(
    ("sql", "meanwhile", "operation", "reason"),
    [
        ("insert into t values (1, 2, 3)", "insert into t values (1, 2, 4)",
         "INSERT", "exists here already"),
        ("update t set v = 5", "update t set v = 6", "UPDATE", "other values"),
        ("delete from t", "delete from t", "DELETE", "no such row here"),
        ("insert into t values (1, 2, 9)",
         "create trigger no before insert on t begin select raise(abort, 'no'); end",
         "INSERT", "a constraint forbids it"),
    ],
)  # fmt: skip
def test_a_conflict_is_told_with_table_operation_and_key(
    connection: apsw.Connection, sql: str, meanwhile: str, operation: str, reason: str
) -> None:
    if not sql.startswith("insert"):
        connection.execute("insert into t values (1, 2, 3)")
    changeset = changes(connection, sql)
    connection.execute(meanwhile)

    (found,) = conflict(connection, changeset)

    assert (found.table, found.operation, found.key) == ("t", operation, (1, 2))
    assert reason in found.reason
    assert str(found) == f"{operation} in table t, key (1, 2): {found.reason}"


def test_a_reason_that_is_not_known_is_told_by_its_number() -> None:
    assert RowConflictError(99, "t", "INSERT", (1,)).reason == "conflict 99"


def test_a_key_that_is_no_text_is_named_as_such(connection: apsw.Connection) -> None:
    changeset = changes(connection, "insert into t values (cast(x'ff' as text), 1, 2)")

    (key,) = [key_of(change) for change in apsw.Changeset.iter(changeset)]

    assert key == ("(text that is not UTF-8)",)


@pytest.mark.parametrize(
    ("standing", "already"),
    [
        ("insert into t values (1, 2, 3)", True),
        ("insert into t values (1, 2, 3.0)", False),
        ("insert into t values (1, 2, null)", False),
    ],
)
def test_only_the_very_same_row_stands_already(
    connection: apsw.Connection,
    standing: str,
    already: bool,  # noqa: FBT001
) -> None:
    changeset = changes(connection, "insert into t values (1, 2, 3)")
    connection.execute(standing)
    found: list[bool] = []

    def look(reason: int, change: apsw.TableChange) -> int:
        found.append(stands_already(reason, change))
        return apsw.SQLITE_CHANGESET_OMIT

    apsw.Changeset.apply(changeset, connection, conflict=look)

    assert found == [already]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (0.0, -0.0, True),
        ("a", b"a", False),
        (None, None, True),
        (None, 0, False),
    ],
)
def test_values_are_compared_as_a_session_does(
    one: Any,
    other: Any,
    same: bool,  # noqa: FBT001
) -> None:
    assert same_value(one, other) is same
    assert same_row((1, one), (1, other)) is same
    assert not same_row((one,), (one, one))
