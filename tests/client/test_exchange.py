"""Requests and answers of one session, over any link."""

from typing import Any

import pytest
from typing_extensions import override

from nexus.client.exceptions import DataError, translated
from nexus.client.exchange import Exchange
from nexus.client.rest import RestOfRows
from nexus.client.session import Statement
from nexus.errors import ConstraintError, ProtocolError, StatementError
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.protocol.calls import Commit, Done, Execute, Failed, Fetch, Rows

PLACE = Position(Epoch(2), Offset(3), HistoryId("h"))


class FakeLink:
    """A link that has these answers."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[Any] = []
        self.cancelled: list[int] = []
        self._answers = list(answers)

    def ask(self, request_id: int, request: Any) -> None:
        assert request.request_id == request_id
        self.asked.append(request)

    def say(self, message: Any) -> None:
        self.asked.append(message)

    def answer(self, _: int) -> Any:
        return self._answers.pop(0)

    def cancel(self, request_id: int) -> None:
        self.cancelled.append(request_id)

    def forget(self, request_id: int) -> None:
        self.cancelled.append(request_id)


def execute(exchange: Exchange, link: Any, *sql: str) -> Any:
    return exchange.execute(link, [Statement(each) for each in sql])


def test_a_write_is_remembered_by_its_place() -> None:
    exchange = Exchange()
    done = Done(1, ((2, 5),), PLACE.offset, PLACE.epoch, PLACE.history_id)

    (result,) = execute(exchange, FakeLink(done), "insert into t values (1), (2)")

    assert (result.rows_affected, result.last_insert_rowid) == (2, 5)
    assert exchange.last_position == PLACE


def test_pieces_of_several_statements_are_joined() -> None:
    link = FakeLink(
        Rows(1, 0, ("a",), [(1,)], more=True, decltypes=("INT",)),
        Rows(1, 0, (), [(2,)]),
        Rows(1, 1, ("b",), [(3,)]),
        Done(1, ((-1, 0), (1, 1))),
    )

    first, second = execute(Exchange(), link, "select a", "insert … returning b")

    assert (first.columns, list(first.rows)) == (("a",), [(1,), (2,)])
    assert first.decltypes == ("INT",)
    assert (second.columns, list(second.rows)) == (("b",), [(3,)])
    assert link.asked[1:] == [Fetch(1)]


def test_rows_of_one_query_are_left_to_be_iterated() -> None:
    link = FakeLink(Rows(1, 0, ("a",), [(1,)], more=True))

    (result,) = execute(Exchange(), link, "select a from t")

    assert isinstance(result.rows, RestOfRows)
    assert len(link.asked) == 1


def test_an_error_says_whether_it_ended_the_transaction() -> None:
    exchange = Exchange()
    for ended in (True, False):
        link = FakeLink(Failed(1, "constraint", "UNIQUE", ended=ended))
        with pytest.raises(ConstraintError):
            execute(exchange, link, "insert into t values (1)")
        assert exchange.ended is ended


def test_parameters_travel_as_they_are() -> None:
    exchange = Exchange()
    link: Any = FakeLink(Done(1, ((2, 2),)), Done(2))
    many = Statement("insert into t values (?)", many=[(1,), (2,)])

    exchange.execute(link, [many], foreign_keys=False)
    exchange.done(link, 2, Commit(2, 1))

    asked = link.asked[0]
    assert isinstance(asked, Execute)
    assert asked.queries[0].many == [[1], [2]]
    assert not asked.foreign_keys
    assert exchange.last_position is None


def test_what_cannot_be_sent_is_an_error_of_the_statement() -> None:
    class Full(FakeLink):
        @override
        def ask(self, request_id: int, request: Any) -> None:
            raise OverflowError(f"{request_id}: {request} is too large")

    with pytest.raises(StatementError, match="too large"):
        execute(Exchange(), Full(), "select 1")


def test_what_is_too_large_for_a_request_is_told_as_sqlite_tells_it() -> None:
    class Full(FakeLink):
        @override
        def ask(self, request_id: int, request: Any) -> None:
            raise ProtocolError("an Execute frame of 9 bytes is over the limit")

    statement = Statement("select ?", ("x",))
    with pytest.raises(StatementError, match="send them in parts") as caught:
        Exchange().execute(Full(), [statement])  # type: ignore[arg-type]
    assert isinstance(translated(caught.value), DataError)


def test_only_what_runs_is_interrupted() -> None:
    exchange = Exchange()

    class Slow(FakeLink):
        @override
        def answer(self, _: int) -> Any:
            exchange.interrupt()
            return Done(1, ((-1, 0),))

    link = Slow()
    execute(exchange, link, "select 1")
    exchange.interrupt()

    assert link.cancelled == [1]
