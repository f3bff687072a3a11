"""A session over the network: what is sent again, what is asked for, what is told."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import nexus
from client.interrupts import interrupted_while
from client.scripted import ATTACHED, ScriptedNode
from nexus.client.remote import RemoteSession
from nexus.client.session import Statement
from nexus.embedded.node import EmbeddedNode
from nexus.errors import (
    ConnectionLostError,
    ConstraintError,
    HandshakeRefusedError,
    NexusError,
    NoMasterError,
    NotAppliedError,
    OutcomeUnknownError,
    QuorumLostError,
    RequestError,
    StatementError,
    TransactionExpiredError,
    TransactionLostError,
)
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.protocol.calls import (
    Begin,
    Commit,
    Done,
    Execute,
    Fetch,
    Recall,
    Rollback,
    Rows,
)
from nexus.protocol.failures import failed_of
from nexus.protocol.messages import Message

INSERT = Statement("insert into t(v) values (?)", (1,))
COUNT = Statement("select count(*) from t")
PLACE = Position(Epoch(1), Offset(7), HistoryId("h"))
ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) "
    "select count(*) from n"
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNode]:
    with nexus.open(
        tmp_path_factory.mktemp("node"), role="master", bind="127.0.0.1:0"
    ) as found:
        yield found


def url_of(node: EmbeddedNode) -> str:
    return f"nexus://{node.node._parts.address}"


@pytest.fixture
def session(node: EmbeddedNode) -> Iterator[RemoteSession]:
    found = RemoteSession.open(url_of(node), timeout_s=20)
    found.run([Statement("drop table if exists t")])
    found.run([Statement("create table t(k integer primary key, v)")])
    yield found
    found.close()


def rows(session: RemoteSession, statement: Statement = COUNT) -> list[Any]:
    return list(session.read(statement).rows)


def done(request: Any) -> Done:
    """An answer that tells a place."""
    return Done(
        request.request_id, ((1, 1),), PLACE.offset, PLACE.epoch, PLACE.history_id
    )


def failed(request: Any, error: NexusError, *, ended: bool = False) -> list[Message]:
    return [failed_of(error, request.request_id, ended=ended)]


class Script:
    """Answers what it is told to, one after another, then what is usual."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def __call__(self, message: Message) -> list[Message] | None:
        if isinstance(message, Execute | Begin | Commit | Rollback | Recall):
            if not self._answers:
                return [done(message)]
            answer = self._answers.pop(0)
            if answer is None or isinstance(answer, list):
                return answer
            if isinstance(answer, NexusError):
                return failed(message, answer)
            return answer(message)  # type: ignore[no-any-return]
        return []


def usual(message: Any) -> list[Message]:
    return [done(message)]


# --- With a real node --------------------------------------------------------------


def test_a_write_is_seen_by_the_next_query(session: RemoteSession) -> None:
    (result,) = session.run([INSERT])

    assert (result.rows_affected, result.last_insert_rowid) == (1, 1)
    assert session.last_position is not None
    assert rows(session) == [(1,)]


def test_a_transaction_is_committed_whole(session: RemoteSession) -> None:
    session.begin()
    session.run_inside(INSERT)
    assert list(session.run_inside(COUNT).rows) == [(1,)]
    assert rows(session) == [(0,)]
    before = session.last_position
    session.commit()

    assert not session.in_transaction
    assert session.last_position != before
    assert rows(session) == [(1,)]


def test_a_transaction_is_taken_back_whole(session: RemoteSession) -> None:
    session.begin()
    session.run_inside(INSERT)
    session.rollback()
    session.rollback()

    assert rows(session) == [(0,)]


def test_an_error_inside_leaves_the_transaction_open_or_not(
    session: RemoteSession,
) -> None:
    one = Statement("insert into t values (1, 1)")
    session.begin()
    session.run_inside(one)
    with pytest.raises(ConstraintError, match="UNIQUE"):
        session.run_inside(one)
    with pytest.raises(ConstraintError, match="UNIQUE"):
        session.run_inside(Statement("insert or rollback into t values (1, 1)"))
    assert not session.in_transaction
    with pytest.raises(TransactionExpiredError):
        session.run_inside(one)


def test_a_large_result_comes_as_it_is_iterated(session: RemoteSession) -> None:
    many = [(f"{number:0100}",) for number in range(10_000)]
    session.run([Statement("insert into t(v) values (?)", many=many)])
    query = Statement("select v from t order by k")

    found = session.read(query)
    half_read = session.read(query)
    next(half_read.rows)
    half_read.rows.close()  # type: ignore[attr-defined]

    assert list(found.rows) == many
    session.begin()
    assert list(session.run_inside(query).rows) == many
    returning = session.run_inside(Statement("delete from t returning v"))
    assert sorted(returning.rows) == many
    session.commit()


def test_several_statements_are_one_write(session: RemoteSession) -> None:
    returning = Statement("insert into t(v) values ('a'), ('b') returning v")
    first, second = session.run([INSERT, returning])

    assert first.rows_affected == 1
    assert list(second.rows) == [("a",), ("b",)]
    with pytest.raises(ConstraintError) as caught:
        session.run([INSERT, Statement("insert into t values (1, 1)")])
    assert caught.value.index == 1
    assert rows(session) == [(3,)]


def test_what_no_transaction_holds_is_run_alone(session: RemoteSession) -> None:
    session.run_alone(Statement("vacuum"))
    session.run_alone(Statement("analyze"))

    assert rows(session, Statement("pragma user_version")) == [(0,)]


def test_foreign_keys_are_the_sessions(session: RemoteSession) -> None:
    session.run([Statement("drop table if exists child")])
    session.run([Statement("create table child(t references t)")])
    orphan = Statement("insert into child values (99)")
    with pytest.raises(ConstraintError):
        session.run([orphan])
    session.foreign_keys = False

    session.run([orphan])
    session.begin()
    session.run_inside(orphan)
    session.commit()


def test_another_thread_can_interrupt(session: RemoteSession) -> None:
    timer = threading.Timer(0.2, session.interrupt)
    timer.start()

    with pytest.raises(StatementError, match="interrupted"):
        rows(session, Statement(ENDLESS))
    timer.join()
    session.interrupt()
    assert rows(session) == [(0,)]


@pytest.mark.parametrize("call", ["read", "run", "begin"])
def test_what_no_node_answers_can_be_interrupted(call: str) -> None:
    with ScriptedNode(lambda _: None) as node:
        session = RemoteSession.open(node.url, timeout_s=600)
        calls: dict[str, Callable[[], Any]] = {
            "read": lambda: session.read(COUNT),
            "run": lambda: session.run([INSERT]),
            "begin": session.begin,
        }

        expected = {"read": StatementError, "run": OutcomeUnknownError}
        with pytest.raises(expected.get(call, NoMasterError), match=r"interrupt|sent"):
            interrupted_while(session.interrupt, calls[call])
        session.close()


def test_a_commit_that_nobody_tells_of_can_be_interrupted() -> None:
    def dies_at_commit(message: Message) -> list[Message] | None:
        if isinstance(message, Begin):
            return [Done(message.request_id)]
        if isinstance(message, Execute):
            return [Done(message.request_id, ((1, 1),))]
        return None

    with ScriptedNode(dies_at_commit) as node:
        session = RemoteSession.open(node.url, timeout_s=600)
        session.begin()
        session.run_inside(INSERT)

        with pytest.raises(OutcomeUnknownError, match="or until interrupted"):
            interrupted_while(session.interrupt, session.commit)
        session.close()


def test_rows_that_are_being_fetched_can_be_interrupted(session: RemoteSession) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) "
    found = session.read(Statement(endless + "select i, zeroblob(999) from n"))

    def fetch_all() -> None:
        for _ in found.rows:
            pass

    with pytest.raises(StatementError, match="interrupted"):
        interrupted_while(session.interrupt, fetch_all)
    assert rows(session) == [(0,)]


def test_text_that_is_no_unicode_is_an_error_of_the_statement(
    session: RemoteSession,
) -> None:
    with pytest.raises(StatementError, match="surrogates"):
        session.run([Statement("select ?", ("\ud800",))])
    assert rows(session) == [(0,)]


def test_a_node_with_a_secret_wants_it(tmp_path: Path) -> None:
    with nexus.open(
        tmp_path, role="master", bind="127.0.0.1:0", cluster_secret="right"
    ) as node:
        session = RemoteSession.open(url_of(node), secret="right", timeout_s=20)
        assert rows(session, Statement("select 1")) == [(1,)]
        session.close()
        with pytest.raises(HandshakeRefusedError, match="secret"):
            RemoteSession.open(url_of(node), secret="wrong", timeout_s=20)


def test_a_replica_answers_queries_that_must_see_ones_own_write(
    node: EmbeddedNode, tmp_path: Path, session: RemoteSession
) -> None:
    master = node.node._parts.address
    with nexus.open(
        tmp_path, role="replica", bind="127.0.0.1:0", master=master
    ) as replica:
        replica.wait_for(session.last_position)
        for read in ("replica", "nearest"):
            url = f"{url_of(replica)},{master}?read={read}&timeout=20"
            reading = RemoteSession.open(url)
            for expected in range(1, 20):
                reading.run([INSERT])
                assert rows(reading) == [(expected,)]
            reading.run([Statement("delete from t")])
            reading.close()


# --- With a node of a script -------------------------------------------------------


def scripted(*answers: Any) -> ScriptedNode:
    return ScriptedNode(Script(*answers))


def ids(node: ScriptedNode) -> set[str]:
    return {m.transaction_id for m in node.heard if isinstance(m, Execute)}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        OutcomeUnknownError("in the log", offset=7),
        NoMasterError("an election"),
        QuorumLostError("too few"),
    ],
    ids=["lost", "unknown", "no master", "no quorum"],
)
def test_a_write_is_sent_again_under_its_id(answer: Any) -> None:
    with scripted(answer, answer) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        session.run([INSERT])
        session.close()

    assert session.last_position == PLACE
    assert len(node.heard) == 3
    assert len(ids(node)) == 1


def test_a_write_of_which_nobody_knows_is_an_unknown_outcome() -> None:
    with scripted(*[None] * 1000) as node:
        session = RemoteSession.open(node.url, timeout_s=2.0)
        with pytest.raises(OutcomeUnknownError, match="may be done or not"):
            session.run([INSERT])
        session.close()


def test_a_write_that_nobody_takes_did_not_happen() -> None:
    with scripted(*[QuorumLostError("too few")] * 1000) as node:
        session = RemoteSession.open(node.url, timeout_s=2.0)
        with pytest.raises(QuorumLostError, match="too few"):
            session.run([INSERT])
        session.close()


def test_a_statement_in_error_is_not_sent_again() -> None:
    with scripted(StatementError("no such table")) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        with pytest.raises(StatementError, match="no such table"):
            session.run([INSERT])
        session.close()
    assert len(node.heard) == 1


def test_a_query_is_asked_again() -> None:
    def answer(message: Any) -> list[Message]:
        rows = Rows(message.request_id, 0, ("n",), [(3,)])
        return [rows, Done(message.request_id, ((-1, 0),))]

    with scripted(None, NotAppliedError("behind"), answer) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        assert rows(session) == [(3,)]
        session.close()


def test_only_who_takes_the_writes_need_not_be_asked_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(message: Any) -> list[Message]:
        rows = Rows(message.request_id, 0, ("n",), [(3,)])
        return [rows, Done(message.request_id, ((-1, 0),))]

    with scripted(usual, answer, answer) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        session.run([INSERT])
        rows(session)
        # Attached to as a master, and deposed since: another one takes the writes.
        monkeypatch.setattr(session._links, "takes_writes", lambda _: False)
        rows(session)
        session.close()

    asked = [message for message in node.heard if isinstance(message, Execute)]
    assert [one.min_offset for one in asked] == [0, 0, PLACE.offset]


@pytest.mark.parametrize(
    ("answer", "error"),
    [(None, ConnectionLostError), (NotAppliedError("behind"), NotAppliedError)],
    ids=["lost", "behind"],
)
def test_a_query_that_nobody_answers_says_why(
    answer: Any, error: type[Exception]
) -> None:
    with scripted(*[answer] * 1000) as node:
        session = RemoteSession.open(node.url, timeout_s=2.0)
        with pytest.raises((error, NoMasterError)):
            rows(session)
        session.close()


def test_rows_that_are_left_can_be_lost_on_the_way() -> None:
    def first(message: Any) -> list[Message]:
        return [Rows(message.request_id, 0, ("n",), [(1,)], more=True)]

    def answering(message: Message) -> list[Message] | None:
        return None if isinstance(message, Fetch) else first(message)

    with ScriptedNode(answering) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        found = session.read(COUNT).rows
        assert next(found) == (1,)
        with pytest.raises(ConnectionLostError, match="read them anew"):
            next(found)
        with pytest.raises(StopIteration):
            next(found)
        session.close()


@pytest.mark.parametrize("answer", [None, NoMasterError("deposed")])
def test_a_transaction_whose_node_is_gone_is_lost(answer: Any) -> None:
    with scripted(usual, answer) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        session.begin()
        with pytest.raises(TransactionLostError, match="run it again"):
            session.run_inside(INSERT)
        assert not session.in_transaction
        session.close()


def lost_commit(
    *answers: Any, timeout_s: float = 60.0
) -> tuple[ScriptedNode, RemoteSession]:
    node = scripted(usual, usual, *answers)
    session = RemoteSession.open(node.url, timeout_s=timeout_s)
    session.begin()
    session.run_inside(INSERT)
    return node, session


@pytest.mark.parametrize("answer", [None, OutcomeUnknownError("waits", offset=7)])
def test_a_commit_whose_answer_was_lost_is_asked_for(answer: Any) -> None:
    node, session = lost_commit(answer, None, NoMasterError("an election"), usual)
    with node:
        session.commit()
        session.close()

    assert session.last_position == PLACE
    (begin,) = [m for m in node.heard if isinstance(m, Begin)]
    recalls = [m for m in node.heard if isinstance(m, Recall)]
    assert len(recalls) == 3
    assert {recall.transaction_id for recall in recalls} == {begin.transaction_id}


def test_a_commit_that_never_arrived_is_a_lost_transaction() -> None:
    node, session = lost_commit(None, lambda message: [Done(message.request_id)])
    with node:
        with pytest.raises(TransactionLostError):
            session.commit()
        assert not session.in_transaction
        session.close()


def test_a_commit_of_which_nobody_knows_is_an_unknown_outcome() -> None:
    node, session = lost_commit(*[None] * 1000, timeout_s=2.0)
    with node:
        with pytest.raises(OutcomeUnknownError, match="COMMIT was sent"):
            session.commit()
        session.close()


def test_a_commit_that_was_refused_is_a_lost_transaction() -> None:
    node, session = lost_commit(NoMasterError("deposed"))
    with node:
        with pytest.raises(TransactionLostError):
            session.commit()
        session.close()


def test_a_lost_commit_of_queries_alone_is_no_matter() -> None:
    with scripted(usual, usual, None) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        session.begin()
        session.run_inside(COUNT)
        session.commit()
        session.close()
    assert not any(isinstance(m, Recall) for m in node.heard)


def test_a_rollback_needs_no_answer() -> None:
    with scripted(usual, None) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        session.begin()
        session.rollback()
        assert not session.in_transaction
        session.close()


def test_a_begin_whose_answer_was_lost_is_begun_again() -> None:
    with scripted(None, usual) as node:
        session = RemoteSession.open(node.url, timeout_s=20)
        session.begin()
        assert session.in_transaction
        session.close()


def test_a_begin_that_nobody_answers_began_nothing() -> None:
    with scripted(*[None] * 1000) as node:
        session = RemoteSession.open(node.url, timeout_s=2.0)
        with pytest.raises(NoMasterError, match="no transaction was begun"):
            session.begin()
        session.close()


def test_no_node_at_all_is_told_with_the_addresses() -> None:
    with scripted() as node:
        url = node.url
    begun = time.monotonic()

    with pytest.raises(NoMasterError, match="answers queries within"):
        RemoteSession.open(url, timeout_s=0.1)
    assert time.monotonic() - begun < 30
    with pytest.raises(RequestError):
        RemoteSession.open("sqlite://a")


def test_a_replica_that_names_no_master_is_asked_again() -> None:
    replica = ScriptedNode(Script(), nexus_replica())
    with replica:
        session = RemoteSession.open(f"{replica.url}?read=replica&timeout=2")
        with pytest.raises(NoMasterError, match="takes writes within"):
            session.run([INSERT])
        session.close()
    assert replica.attaches > 1


def nexus_replica() -> Any:
    """How a replica answers that knows no master."""
    return replace(ATTACHED, role="replica")
