"""Queries give their rows in pieces, read when they are asked for."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus.errors import NodeStoppedError, StatementError
from nexus.node.reading import pieces as reading
from nexus.node.reading.pieces import Reading
from nexus.protocol.calls import Done, Rows
from nexus.protocol.codec import Decoder
from nexus.storage.capturing.results import Statement
from nexus.storage.sqlite.connections import execute
from node.builders import Desk, open_desk, wanted

ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) "
    "select count(*) from n"
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = open_desk(tmp_path)
    with found.manager() as manager:
        manager.execute_blocking(wanted("create table t(v)"))
        manager.execute_blocking(wanted("insert into t values (1), (2), (3)"))
        yield found
    found.close()


def reads(desk: Desk, *queries: str | Statement) -> Reading:
    statements = [q if isinstance(q, Statement) else Statement(q) for q in queries]
    return Reading(desk.database, statements, request_id=9)


def piece(found: Reading, most_rows: int = 0) -> tuple[list[Any], bool]:
    frames, more = found.next_piece(most_rows)
    decoder = Decoder()
    decoder.handshake_done()
    return decoder.feed(frames), more


def test_all_that_fits_is_one_piece(desk: Desk) -> None:
    said, more = piece(reads(desk, "select v from t", "select 'x' as x"))

    assert not more
    assert said == [
        Rows(9, 0, ("v",), [(1,), (2,), (3,)], decltypes=(None,)),
        Rows(9, 1, ("x",), [("x",)], decltypes=(None,)),
        Done(9, ((-1, 0), (-1, 0))),
    ]


def test_a_piece_is_bounded_in_rows_over_queries(desk: Desk) -> None:
    found = reads(desk, "select v from t", "select v from t")

    first, _ = piece(found, 2)
    second, _ = piece(found, 2)
    third, more = piece(found, 0)

    assert [row for rows in first for row in rows.rows] == [(1,), (2,)]
    assert [(rows.index, rows.rows) for rows in second] == [(0, [(3,)]), (1, [(1,)])]
    assert not more
    assert third[0].rows == [(2,), (3,)]
    assert isinstance(third[-1], Done)


def test_a_piece_is_bounded_in_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 1000)
    found = reads(desk, "select zeroblob(600) from t union all select 'abc'")

    sizes = []
    more = True
    while more:
        said, more = piece(found)
        sizes.append(sum(len(rows.rows) for rows in said if isinstance(rows, Rows)))

    assert sizes == [2, 2]


def test_all_pieces_are_of_one_snapshot(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    with desk.manager() as manager:
        manager.execute_blocking(
            wanted("create table t(v)", "insert into t values (1)")
        )
        found = reads(desk, "select v from t", "select count(*) from t")
        piece(found, 1)
        manager.execute_blocking(wanted("insert into t values (2)"))

        said, _ = piece(found)

        assert said[1].rows == [(1,)]
        assert desk.rows("select count(*) from t") == [(2,)]
    desk.close()


def test_one_that_is_closed_gives_its_reader_back(desk: Desk) -> None:
    for _ in range(10):  # more than there are readers
        found = reads(desk, "select v from t")
        piece(found, 1)
        found.cancel()
        found.close()

    assert desk.rows("select count(*) from t") == [(3,)]


def test_one_that_has_not_begun_can_be_closed_and_cancelled(desk: Desk) -> None:
    found = reads(desk, "select v from t")
    found.cancel()

    with pytest.raises(StatementError, match="interrupted") as caught:
        piece(found)
    assert caught.value.sqlite_errorcode == 9
    found.close()
    reads(desk, "select 1").close()


def test_a_running_one_is_interrupted_from_any_thread(desk: Desk) -> None:
    found = reads(desk, ENDLESS)
    timer = threading.Timer(0.05, found.cancel)
    timer.start()

    with pytest.raises(StatementError, match="interrupted") as caught:
        piece(found)

    timer.join()
    assert caught.value.sqlite_errorcode == 9
    found.close()


def test_the_end_of_the_node_is_told_as_that(desk: Desk) -> None:
    found = reads(desk, ENDLESS)
    timer = threading.Timer(0.05, desk.database.close_readers)
    timer.start()

    with pytest.raises(NodeStoppedError, match="stopping"):
        piece(found)
    timer.join()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (Statement("select x from t"), "no such column"),
        (Statement("select ?"), "binding"),
        (Statement("select ?", ([],)), "Bad binding"),
        (Statement("select abs(-9223372036854775808)"), "integer overflow"),
        (Statement("select cast(x'ff' as text)"), "not UTF-8"),
    ],
    ids=lambda value: getattr(value, "sql", value),
)
def test_an_error_names_its_query(desk: Desk, query: Statement, said: str) -> None:
    found = reads(desk, "select 1", query)

    with pytest.raises(StatementError, match=f"(?i){said}") as caught:
        piece(found)

    assert caught.value.index == 1
    assert desk.rows("select count(*) from t") == [(3,)]


def test_a_cancel_that_meets_no_statement_still_ends_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = reads(desk, ENDLESS)

    def cancelled_just_before(*arguments: Any) -> Any:
        found.cancel()
        return execute(*arguments)

    monkeypatch.setattr(reading, "execute", cancelled_just_before)

    with pytest.raises(StatementError, match="interrupted"):
        piece(found)
    assert desk.rows("select 1") == [(1,)]
