"""Rows that a node keeps are fetched as they are iterated, or let go."""

from typing import Any

import pytest
from typing_extensions import override

from nexus.client.link import LinkLostError
from nexus.client.rest import RestOfRows, Waiting
from nexus.errors import ConnectionLostError, StatementError, TransactionExpiredError
from nexus.protocol.calls import Done, Failed, Fetch, Rows


class FakeLink:
    """A link that has these answers."""

    def __init__(self, *answers: Any) -> None:
        self.said: list[Any] = []
        self.forgotten: list[int] = []
        self.cancelled: list[int] = []
        self._answers = list(answers)

    def say(self, message: Any) -> None:
        self.said.append(message)

    def answer(self, request_id: int) -> Any:
        assert request_id == 1
        if not self._answers:
            raise LinkLostError("gone")
        return self._answers.pop(0)

    def forget(self, request_id: int) -> None:
        self.forgotten.append(request_id)

    def cancel(self, request_id: int) -> None:
        self.cancelled.append(request_id)


def rest(link: Any, *, more: bool = True) -> RestOfRows:
    return RestOfRows(link, 1, Rows(1, 0, ("v",), [(1,)], more), Waiting())


def test_pieces_follow_one_another_to_the_end() -> None:
    link = FakeLink(Rows(1, 0, (), [(2,)], more=True), Rows(1, 0, (), [(3,)]), Done(1))

    assert list(rest(link)) == [(1,), (2,), (3,)]
    assert link.said == [Fetch(1), Fetch(1)]
    assert link.forgotten == []


def test_an_end_that_came_with_the_piece_is_the_end() -> None:
    assert list(rest(FakeLink(Done(1)))) == [(1,)]
    assert list(rest(FakeLink(), more=False)) == [(1,)]


def test_what_is_closed_or_dropped_is_let_go() -> None:
    closed, dropped = FakeLink(), FakeLink()
    found = rest(closed)
    found.close()
    found.close()
    assert list(found) == []
    del found
    rest(dropped)

    assert closed.forgotten == dropped.forgotten == [1]


def test_rows_that_are_waited_for_can_be_interrupted() -> None:
    waiting = Waiting()

    class Slow(FakeLink):
        @override
        def answer(self, request_id: int) -> Any:
            waiting.interrupt()
            return super().answer(request_id)

    link = Slow(Failed(1, "sql", "interrupted"))
    found = RestOfRows(link, 1, Rows(1, 0, ("v",), [(1,)], more=True), waiting)  # type: ignore[arg-type]
    waiting.interrupt()

    assert next(found) == (1,)
    with pytest.raises(StatementError, match="interrupted"):
        next(found)
    waiting.interrupt()
    assert link.cancelled == [1]


def test_an_error_ends_the_rows() -> None:
    expired = rest(FakeLink(Failed(1, "transaction_expired", "too late")))
    lost = rest(FakeLink())

    assert next(expired) == next(lost) == (1,)
    with pytest.raises(TransactionExpiredError, match="too late"):
        next(expired)
    with pytest.raises(ConnectionLostError, match="anew"):
        next(lost)
    assert list(expired) == []
