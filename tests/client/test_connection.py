"""Connections: when they begin and end transactions, and what they refuse."""

import copy
import pickle

import pytest

from client.test_control import NotingSession
from nexus.client.connection import LEGACY_TRANSACTION_CONTROL, Connection
from nexus.client.exceptions import OperationalError, ProgrammingError
from nexus.errors import ConstraintError, NoMasterError, TransactionError

INSERT = "insert into t values (1)"


@pytest.fixture
def session() -> NotingSession:
    return NotingSession()


def test_autocommit_makes_each_statement_a_transaction(session: NotingSession) -> None:
    connection = Connection(session, autocommit=True)
    connection.execute(INSERT)
    connection.commit()
    connection.rollback()

    assert session.calls == [f"run {INSERT}"]
    assert not connection.in_transaction


def test_without_autocommit_a_transaction_is_always_open(
    session: NotingSession,
) -> None:
    connection = Connection(session, autocommit=False)
    assert connection.in_transaction
    assert session.calls == []  # and yet the writer is free

    connection.execute(INSERT)
    connection.commit()
    assert connection.in_transaction
    connection.execute(INSERT)
    connection.rollback()

    assert connection.in_transaction
    assert session.calls == ["begin", INSERT, "commit", "begin", INSERT, "rollback"]


def test_a_script_commits_first_in_legacy_control_alone(session: NotingSession) -> None:
    connection = Connection(session)
    connection.execute(INSERT)
    connection.executescript("select 1;")
    assert session.calls == ["begin", INSERT, "commit", "run select 1;"]

    session.calls.clear()
    connection.autocommit = False
    connection.execute(INSERT)
    connection.executescript("select 1;")
    assert session.calls == ["begin", INSERT, "select 1;"]


def test_the_mode_can_be_changed_and_autocommit_commits_what_is_open(
    session: NotingSession,
) -> None:
    connection = Connection(session)
    assert connection.autocommit == LEGACY_TRANSACTION_CONTROL
    connection.execute(INSERT)

    connection.autocommit = True

    assert session.calls[-1] == "commit"
    assert not connection.in_transaction
    connection.autocommit = LEGACY_TRANSACTION_CONTROL
    assert not connection.in_transaction


@pytest.mark.parametrize("mode", [2, "yes", None])
def test_a_mode_that_is_none_is_refused(session: NotingSession, mode: object) -> None:
    with pytest.raises(ValueError, match="LEGACY_TRANSACTION_CONTROL"):
        Connection(session).autocommit = mode  # type: ignore[assignment]
    with pytest.raises(ValueError, match="LEGACY_TRANSACTION_CONTROL"):
        Connection(session, autocommit=mode)  # type: ignore[arg-type]


def test_errors_of_the_session_are_those_of_pep_249(session: NotingSession) -> None:
    session.failure = NoMasterError("no master is known just now")
    connection = Connection(session)

    with pytest.raises(OperationalError) as caught:
        connection.execute(INSERT)
    assert caught.value.code == "no_master"
    assert isinstance(caught.value, TransactionError)


def test_a_session_that_cannot_close_or_commit_says_so_in_pep_249(
    session: NotingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ConstraintError("FOREIGN KEY constraint failed", sqlite_errorcode=787)

    connection = Connection(session)
    connection.execute(INSERT)
    monkeypatch.setattr(session, "commit", fail)
    with pytest.raises(connection.IntegrityError):
        connection.commit()
    monkeypatch.setattr(session, "close", fail)
    with pytest.raises(connection.IntegrityError):
        connection.close()


def test_a_forgotten_connection_closes_its_session(session: NotingSession) -> None:
    connection = Connection(session)
    connection.interrupt()
    del connection

    assert session.calls == ["interrupt", "close"]


def test_a_connection_that_was_never_made_says_so() -> None:
    bare = Connection.__new__(Connection)

    with pytest.raises(ProgrammingError, match="__init__ not called"):
        bare.cursor()


def test_a_connection_is_not_copied_nor_pickled(session: NotingSession) -> None:
    connection = Connection(session)

    for copied in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match="connect where another one is needed"):
            copied(connection)

    connection.execute("select 1")
    connection.close()
