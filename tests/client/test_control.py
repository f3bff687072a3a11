"""When transactions begin and end, over a session that notes its calls."""

from collections.abc import Sequence
from typing import Any

import pytest

from nexus.client.control import Control
from nexus.client.exceptions import OperationalError
from nexus.client.parameters import plan_for
from nexus.client.session import Result, Statement
from nexus.errors import ConstraintError, NexusError, StatementError
from nexus.errors.sqlite import overtaken
from nexus.model.position import Position


class NotingSession:
    """Does nothing but note what it is asked for, and fail where it is told to."""

    def __init__(self) -> None:
        self.foreign_keys = True
        self.calls: list[str] = []
        self.failure: NexusError | None = None
        self.last_position: Position | None = None
        self.in_transaction = False

    def read(self, statement: Statement) -> Result:
        self.calls.append(f"read {statement.sql}")
        return Result()

    def run(self, statements: Sequence[Statement]) -> list[Result]:
        self.calls.append("run " + "; ".join(each.sql for each in statements))
        return [Result(rows_affected=1) for _ in statements]

    def run_alone(self, statement: Statement) -> Result:
        self.calls.append(f"alone {statement.sql}")
        return Result()

    def begin(self) -> None:
        self.calls.append("begin")
        self.in_transaction = True

    def run_inside(self, statement: Statement) -> Result:
        self.calls.append(statement.sql)
        if self.failure is not None:
            raise self.failure
        return Result(rows_affected=1, last_insert_rowid=len(self.calls))

    def commit(self) -> None:
        self.calls.append("commit")
        self.in_transaction = False

    def rollback(self) -> None:
        self.calls.append("rollback")
        self.in_transaction = False

    def interrupt(self) -> None:
        self.calls.append("interrupt")

    def close(self) -> None:
        self.calls.append("close")


class HoldingSession(NotingSession):
    """One that can answer several queries from one state."""

    def hold(self) -> None:
        self.calls.append("hold")

    def let_go(self) -> None:
        self.calls.append("let go")


class Told:
    """A control that is told statements by their text."""

    def __init__(self, session: NotingSession | None = None) -> None:
        self.session = session or NotingSession()
        self.control = Control(self.session)

    def __call__(self, *texts: str) -> list[str]:
        """Run these; returns what the session was asked for meanwhile."""
        before = len(self.session.calls)
        for sql in texts:
            self.control.run(plan_for(sql), Statement(sql))
        return self.session.calls[before:]

    def changing(self, sql: str) -> Result:
        return self.control.run_changing(plan_for(sql), Statement(sql))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.parametrize(
    ("texts", "calls"),
    [
        (["select 1"], ["read select 1"]),
        (["insert into t values (1)"], ["run insert into t values (1)"]),
        (["create table t(a)"], ["run create table t(a)"]),
        (["analyze"], ["alone analyze"]),
        (["vacuum"], ["alone vacuum"]),
        (["pragma table_info(t)"], ["read pragma table_info(t)"]),
        (["pragma user_version = 3"], ["alone pragma user_version = 3"]),
        (["pragma foreign_keys"], []),
        (["pragma main.foreign_keys"], []),
        (
            ["pragma table_info(foreign_keys)"],
            ["read pragma table_info(foreign_keys)"],
        ),
        (["-- nothing"], []),
        (["begin"], []),
        (["begin", "commit"], []),
        (["begin", "select 1", "end"], ["begin", "select 1", "commit"]),
        (["begin", "select 1", "rollback"], ["begin", "select 1", "rollback"]),
        (["begin", "pragma user_version"], ["begin", "pragma user_version"]),
        (["savepoint a", "release a"], ["begin", "savepoint a", "commit"]),
        (
            ["savepoint a", "savepoint b", "release b", "release a"],
            ["begin", "savepoint a", "savepoint b", "release b", "commit"],
        ),
        (
            ["begin", "savepoint a", "release a"],
            ["begin", "savepoint a", "release a"],
        ),
    ],
)
def test_each_statement_runs_where_it_belongs(
    told: Told, texts: list[str], calls: list[str]
) -> None:
    assert told(*texts) == calls


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (["commit"], "cannot commit"),
        (["rollback"], "cannot rollback"),
        (["begin", "begin"], "within a transaction"),
        (["begin", "vacuum"], "cannot VACUUM"),
        (["release a"], "no such savepoint: a"),
        (["rollback to a"], "no such savepoint: a"),
    ],
)
def test_a_step_out_of_order_is_refused(
    told: Told, texts: list[str], complaint: str
) -> None:
    told(*texts[:-1])

    with pytest.raises(OperationalError, match=complaint):
        told(texts[-1])


def test_foreign_keys_are_the_connections_own_and_fixed_in_a_transaction(
    told: Told,
) -> None:
    told("pragma foreign_keys = off")
    assert not told.session.foreign_keys
    told("begin", "pragma foreign_keys = on")
    assert not told.session.foreign_keys
    told("commit", "pragma foreign_keys(1)")
    assert told.session.foreign_keys


def test_a_transaction_that_the_node_has_ended_is_over_once_that_was_told(
    told: Told,
) -> None:
    told("begin", "select 1")
    told.session.in_transaction = False
    told.session.failure = StatementError("it idled too long")

    assert not told.control.in_transaction
    with pytest.raises(StatementError):
        told("select 2")
    assert told("select 3") == ["read select 3"]


def test_only_a_statement_that_could_run_begins_a_transaction_by_itself(
    told: Told,
) -> None:
    told.session.failure = StatementError("no such table: t")
    with pytest.raises(StatementError):
        told.changing("insert into t values (1)")
    assert not told.control.in_transaction

    told.session.failure = ConstraintError("UNIQUE constraint failed")
    with pytest.raises(ConstraintError):
        told.changing("insert into t values (1)")
    assert told.control.in_transaction


def test_a_savepoint_that_fails_leaves_no_transaction(told: Told) -> None:
    told.session.failure = StatementError("the node is stopping")

    with pytest.raises(StatementError):
        told("savepoint a")
    assert not told.control.in_transaction


@pytest.mark.parametrize(
    ("texts", "calls"),
    [
        (["create table t(a)", "select 1"], ["run create table t(a); select 1"]),
        (["begin", "select 1", "commit"], ["begin", "select 1", "commit"]),
        (["analyze", "select 1"], ["alone analyze", "read select 1"]),
        ([], []),
    ],
)
def test_a_script_is_one_transaction_unless_it_has_steps_of_its_own(
    told: Told, texts: list[str], calls: list[str]
) -> None:
    told.control.run_script([plan_for(sql) for sql in texts])

    assert told.session.calls == calls


def test_changes_and_the_last_rowid_are_those_of_this_connection(told: Told) -> None:
    told.changing("insert into t values (1)")
    inserted: Any = told.control.last_insert_rowid
    told.changing("update t set a = 2")

    assert told.control.total_changes == 2
    assert told.control.last_insert_rowid == inserted


@pytest.mark.parametrize(
    ("texts", "calls"),
    [
        (["begin", "commit"], []),
        (
            ["begin", "select 1", "pragma user_version", "commit"],
            ["hold", "read select 1", "read pragma user_version", "let go"],
        ),
        (
            ["begin", "select 1", "delete from t", "select 2", "rollback"],
            ["hold", "read select 1", "begin", "delete from t", "select 2", "rollback"],
        ),
        (["begin immediate", "select 1"], ["begin", "select 1"]),
    ],
)
def test_queries_before_the_first_change_read_one_state_and_leave_the_writer_free(
    texts: list[str], calls: list[str]
) -> None:
    told = Told(HoldingSession())

    assert told(*texts) == calls


def test_a_change_that_comes_too_late_leaves_the_transaction_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise overtaken()

    told = Told(HoldingSession())
    told("begin", "select 1")
    monkeypatch.setattr(told.session, "begin", fail)

    with pytest.raises(StatementError, match="others have written"):
        told("delete from t")
    assert told.control.in_transaction
    assert told("select 2", "rollback") == ["read select 2", "let go"]
