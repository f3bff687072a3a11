"""A data directory on this machine: its file is read here, its node writes."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from client.interrupts import interrupted_while
from client.test_control import NotingSession
from nexus.client.local import LocalSession, published_address
from nexus.client.session import Result, Session, Statement
from nexus.errors import (
    NoDatabaseError,
    NodeStoppedError,
    NoMasterError,
    NotAppliedError,
    StatementError,
)
from nexus.model.position import Epoch, HistoryId, Offset, Position

INSERT = Statement("insert into t values (1)")
COUNT = Statement("select count(*) from t")


class Writing(NotingSession):
    """A node at another address, whose writes reach the file when they are applied."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.offset = 0
        self.applies = True
        self.addresses: list[str] = []

    def opened(self, address: str) -> Session:
        self.addresses.append(address)
        return self

    def write(self) -> None:
        self.offset += 1
        self.last_position = Position(Epoch(1), Offset(self.offset), HistoryId("ab"))
        if self.applies:
            self.apply()

    def apply(self) -> None:
        connection = apsw.Connection(str(self.path))
        connection.execute('update nexus_position set "offset" = ?', (self.offset,))
        connection.execute(INSERT.sql)
        connection.close()


@pytest.fixture
def node(tmp_path: Path) -> Writing:
    connection = apsw.Connection(str(tmp_path / "nexus.db"))
    connection.pragma("journal_mode", "wal")
    connection.execute(
        'create table nexus_position("offset"); insert into nexus_position values (0);'
        "create table t(a)"
    )
    connection.close()
    (tmp_path / "lock").write_text("4711\n127.0.0.1:15475\n")
    return Writing(tmp_path / "nexus.db")


@pytest.fixture
def session(tmp_path: Path, node: Writing) -> Iterator[LocalSession]:
    session = LocalSession(tmp_path, node.opened, timeout_s=0.05)
    yield session
    session.close()


def count(session: LocalSession) -> object:
    return next(session.read(COUNT).rows)[0]


def test_queries_need_no_node(session: LocalSession, node: Writing) -> None:
    assert count(session) == 0
    assert node.addresses == []
    assert (session.last_position, session.in_transaction) == (None, False)
    session.rollback()
    session.interrupt()


def test_writes_go_to_the_node_whose_directory_it_is(
    session: LocalSession, node: Writing
) -> None:
    session.foreign_keys = False
    session.run([INSERT])
    session.run_alone(Statement("analyze"))
    session.begin()
    session.run_inside(INSERT)
    assert session.in_transaction
    session.commit()
    session.rollback()
    session.interrupt()
    session.foreign_keys = True

    assert node.addresses == ["127.0.0.1:15475"]
    assert node.foreign_keys
    assert node.calls == [
        f"run {INSERT.sql}",
        "alone analyze",
        "begin",
        INSERT.sql,
        "commit",
        "rollback",
        "interrupt",
    ]


def test_a_query_sees_the_writes_of_its_session(
    session: LocalSession, node: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.run([INSERT])
    node.applies = False
    monkeypatch.setattr(node, "commit", node.write)
    session.begin()
    session.commit()

    with pytest.raises(NotAppliedError, match="entry 0 only"):
        count(session)
    node.apply()
    assert count(session) == 1
    assert session.last_position == node.last_position


def test_a_query_that_waits_for_its_sessions_writes_can_be_interrupted(
    node: Writing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = LocalSession(tmp_path, node.opened, timeout_s=600)
    node.applies = False
    monkeypatch.setattr(node, "commit", node.write)
    patient.begin()
    patient.commit()

    with pytest.raises(StatementError, match="interrupted"):
        interrupted_while(patient.interrupt, lambda: count(patient))
    patient.close()


@pytest.mark.parametrize("lock", [None, "4711\n"], ids=["no lock", "no address"])
def test_without_a_node_only_writes_are_refused(
    session: LocalSession, tmp_path: Path, lock: str | None
) -> None:
    (tmp_path / "lock").unlink()
    if lock is not None:
        (tmp_path / "lock").write_text(lock)

    with pytest.raises(NoMasterError, match=r"nexus serve .*queries work"):
        session.run([INSERT])
    assert count(session) == 0


@pytest.mark.parametrize("error", [NoMasterError("gone"), NodeStoppedError("stops")])
def test_a_node_that_came_back_elsewhere_is_found_there(
    session: LocalSession,
    node: Writing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail() -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(node, "begin", fail)
        with pytest.raises(type(error)):
            session.begin()
    (tmp_path / "lock").write_text("4712\n127.0.0.1:1\n")
    session.begin()

    assert node.addresses == ["127.0.0.1:15475", "127.0.0.1:1"]


def test_a_node_that_came_back_elsewhere_is_found_after_writes_too(
    session: LocalSession,
    node: Writing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise NodeStoppedError("stops")

    session.begin()
    node.write()
    session.commit()
    written = node.last_position
    with monkeypatch.context() as patched:
        patched.setattr(node, "begin", fail)
        with pytest.raises(NodeStoppedError):
            session.begin()
    node.last_position = None  # of a session with the same node elsewhere
    assert session.last_position == written
    (tmp_path / "lock").write_text("4712\n127.0.0.1:1\n")
    session.begin()

    assert session.last_position == written
    assert node.addresses == ["127.0.0.1:15475", "127.0.0.1:1"]


def test_a_directory_without_a_database_is_none(tmp_path: Path, node: Writing) -> None:
    with pytest.raises(NoDatabaseError):
        LocalSession(tmp_path / "elsewhere", node.opened)
    assert published_address(tmp_path / "elsewhere") is None


def test_a_transaction_reads_one_state_and_writes_only_on_top_of_it(
    session: LocalSession, node: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_node(statement: Statement) -> Result:
        assert "nexus_position" in statement.sql
        return Result(rows=iter([(node.offset,)]))

    monkeypatch.setattr(node, "run_inside", at_node)
    session.hold()
    node.write()
    assert count(session) == 0

    with pytest.raises(StatementError, match="others have written"):
        session.begin()
    assert not session.in_transaction
    assert count(session) == 0
    session.let_go()
    session.hold()
    assert count(session) == 1
    session.begin()
    assert session.in_transaction


def test_a_state_without_a_position_is_not_held(
    session: LocalSession, tmp_path: Path
) -> None:
    connection = apsw.Connection(str(tmp_path / "nexus.db"))
    connection.execute("drop table nexus_position")

    with pytest.raises(StatementError, match="nexus_position"):
        session.hold()
    connection.execute(INSERT.sql)
    connection.close()
    assert count(session) == 1
