"""What a client's statement may touch, judged by SQLite's compiler."""

import apsw
import pytest

from nexus.storage.sqlite import permissions as permissions_module
from nexus.storage.sqlite.permissions import Permissions, Scope


@pytest.fixture
def connection(connection: apsw.Connection) -> apsw.Connection:
    connection.execute(
        "create table t(a); create table nexus_own(a); "
        "create temp trigger guard before insert on t begin select 1; end; "
        "create trigger reaches after delete on t begin "
        "update nexus_own set a = 1; end"
    )
    return connection


def refusal(connection: apsw.Connection, sql: str, scope: Scope = Scope.ROWS) -> str:
    """Why the statement is refused; empty if it may run."""
    found = Permissions(connection)
    try:
        with found.within(scope):
            connection.execute(f"explain {sql}").fetchall()
    except apsw.AuthError:
        return found.refusal
    return ""


@pytest.mark.parametrize(
    ("sql", "scope"),
    [
        ("select max(t.a) from t, nexus_own", Scope.ROWS),
        ("insert into t values (1)", Scope.ROWS),
        ("update t set a = 2", Scope.ROWS),
        ("with recursive n(i) as (select 1 union select i + 1 from n) "
         "select * from n", Scope.ROWS),
        ("select * from pragma_table_info('t')", Scope.ROWS),
        ("create table u(a)", Scope.SCHEMA),
        ("create index i on t(a)", Scope.SCHEMA),
        ("alter table t add column b", Scope.SCHEMA),
        ("analyze", Scope.SCHEMA),
        ("reindex", Scope.SCHEMA),
        ("drop table t", Scope.DROP_TABLE),
    ],
)  # fmt: skip
def test_what_a_statement_of_its_kind_does_is_permitted(
    connection: apsw.Connection, sql: str, scope: Scope
) -> None:
    assert refusal(connection, sql, scope) == ""


@pytest.mark.parametrize(
    ("sql", "scope", "reason"),
    [
        ("insert into nexus_own values (1)", Scope.ROWS, "Nexus's own"),
        ("delete from nexus_own", Scope.ROWS, "Nexus's own"),
        ("delete from t", Scope.ROWS, "Nexus's own"),
        ("attach 'x' as y", Scope.ROWS, "past the log"),
        ("create table u(a)", Scope.ROWS, "more than its first word says"),
        ("analyze", Scope.ROWS, "more than its first word says"),
        ("begin", Scope.ROWS, "more than its first word says"),
        ("savepoint nexus_transaction", Scope.ROWS, "more than its first word"),
        ("pragma journal_mode = delete", Scope.ROWS, "PRAGMA journal_mode may not"),
        ("create table nexus_new(a)", Scope.SCHEMA, "Nexus's own"),
        ("create trigger x after insert on nexus_own begin select 1; end",
         Scope.SCHEMA, "Nexus's own"),
        ("create temp table u(a)", Scope.SCHEMA, "one connection"),
        ("drop trigger guard", Scope.SCHEMA, "one connection"),
        ("drop table t", Scope.SCHEMA, "one connection"),
    ],
)  # fmt: skip
def test_what_it_does_beside_that_is_refused_with_the_reason(
    connection: apsw.Connection, sql: str, scope: Scope, reason: str
) -> None:
    assert reason in refusal(connection, sql, scope)


def test_outside_a_context_nothing_is_judged(connection: apsw.Connection) -> None:
    found = Permissions(connection)
    with found.within(Scope.ROWS):
        pass

    connection.execute("insert into nexus_own values (1)")

    assert connection.authorizer is None
    assert found.refusal == ""


@pytest.mark.interpreted
def test_texts_that_passed_are_remembered_until_the_schema_changes(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions_module, "MOST_PASSED", 2)
    found = Permissions(connection)

    found.remember("one", gives_rows=True)
    found.remember("two", gives_rows=False)
    assert found.passed == {"one": True, "two": False}
    found.remember("three", gives_rows=True)
    assert found.passed == {"three": True}
    found.forget()
    assert found.passed == {}
