"""Cursors over a session that fetches as it goes, and may fail meanwhile."""

from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import override

from client.test_control import NotingSession
from nexus.client.connection import Connection
from nexus.client.exceptions import OperationalError, ProgrammingError
from nexus.client.session import Result, Row, Statement
from nexus.errors import NodeStoppedError


class Pieces:
    """Rows that are fetched piece by piece."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self.rows = rows
        self.closed = False

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        return next(self.rows)

    def close(self) -> None:
        self.closed = True


class Fetching(NotingSession):
    """Answers every query with these rows."""

    def __init__(self, rows: Iterator[Row]) -> None:
        super().__init__()
        self.pieces = Pieces(rows)

    @override
    def read(self, statement: Statement) -> Result:
        super().read(statement)
        return Result(("a",), self.pieces)


def failing() -> Iterator[Row]:
    yield (1,)
    raise NodeStoppedError("this node is stopping")


def test_rows_are_fetched_as_they_are_asked_for() -> None:
    cursor = Connection(Fetching(iter([(1,), (2,), (3,)]))).execute("select a from t")

    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany(1) == [(2,)]
    assert cursor.fetchall() == [(3,)]


@pytest.mark.parametrize("text_factory", [str, bytes])
def test_a_fetch_that_fails_is_an_error_of_pep_249(text_factory: Any) -> None:
    connection = Connection(Fetching(failing()))
    connection.text_factory = text_factory

    with pytest.raises(OperationalError, match="stopping"):
        connection.execute("select a from t").fetchall()
    connection = Connection(Fetching(failing()))
    cursor = connection.execute("select a from t")
    cursor.fetchone()
    with pytest.raises(OperationalError, match="stopping"):
        cursor.fetchone()


@pytest.mark.parametrize("how", ["close", "execute"])
def test_rows_that_are_left_half_read_are_let_go(how: str) -> None:
    session = Fetching(iter([(1,), (2,)]))
    cursor = Connection(session).execute("select a from t")
    cursor.fetchone()

    if how == "close":
        cursor.close()
    else:
        cursor.execute("begin")

    assert session.pieces.closed


def test_executemany_of_what_changes_no_rows_runs_it_each_time() -> None:
    session = NotingSession()
    connection = Connection(session)
    connection.executemany("analyze", [(), ()])

    assert session.calls == ["alone analyze", "alone analyze"]


def test_a_cursor_is_not_closed_while_it_reads_its_parameters() -> None:
    cursor = Connection(NotingSession()).cursor()

    def rows() -> Iterator[tuple[int]]:
        cursor.close()
        yield (1,)

    with pytest.raises(ProgrammingError, match="Recursive"):
        cursor.executemany("insert into t values (?)", rows())
