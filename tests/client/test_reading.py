"""Reading a database file in this process: results, half read ones, and errors."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from nexus.client import reading
from nexus.client.reading import Reader
from nexus.client.session import Result, Statement
from nexus.errors import ForkedError, NoDatabaseError, StatementError
from node.builders import in_a_child

ROWS = 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(apsw.Connection(str(tmp_path / "nexus.db"))) as writer:
        writer.pragma("journal_mode", "wal")
        writer.execute("create table t(a integer, b text)")
        writer.executemany("insert into t values (?, 'x')", ((n,) for n in range(ROWS)))
    return tmp_path / "nexus.db"


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    reader = Reader(path)
    yield reader
    reader.close()


def asked(reader: Reader, sql: str = "select a from t order by a") -> Result:
    return reader.read(Statement(sql))


@pytest.mark.parametrize("count", [0, 1, 2, 3, ROWS])
def test_all_rows_come_in_order_with_their_columns(reader: Reader, count: int) -> None:
    result = asked(reader, f"select a, b as c, 1 from t order by a limit {count}")

    assert result.columns == ("a", "c", "1")
    assert result.decltypes == ("INTEGER", "TEXT", None)
    assert [row[0] for row in result.rows] == list(range(count))
    assert len(reader._idle) == 1


def test_a_result_that_is_half_read_is_not_disturbed(reader: Reader) -> None:
    halves = [asked(reader) for _ in range(3 * reading.MOST_READERS)]
    assert len(reader._all) <= reading.MOST_READERS

    numbers = [[row[0] for row in half.rows] for half in halves]

    assert numbers == [list(range(ROWS))] * len(halves)
    assert len(reader._idle) == len(reader._all)


def test_a_result_that_is_dropped_or_closed_gives_its_connection_back(
    reader: Reader,
) -> None:
    dropped: Any = asked(reader)
    closed: Any = asked(reader).rows
    next(closed)
    del dropped
    closed.close()

    assert list(closed) == []
    assert len(reader._idle) == len(reader._all) == 2


def test_each_query_sees_the_last_commit_though_others_are_half_read(
    reader: Reader, path: Path
) -> None:
    half = asked(reader)
    with closing(apsw.Connection(str(path))) as writer:
        writer.execute("delete from t")

    assert list(asked(reader).rows) == []
    assert len(list(half.rows)) == ROWS


def test_columns_are_those_of_the_table_as_it_is(reader: Reader, path: Path) -> None:
    for sql in ("select * from t limit 1", "select * from t where a < 0"):
        assert asked(reader, sql).columns == ("a", "b")
    with closing(apsw.Connection(str(path))) as writer:
        writer.execute("alter table t rename column b to c")
    for sql in ("select * from t limit 1", "select * from t where a < 0"):
        assert asked(reader, sql).columns == ("a", "c")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("select nobody from t", apsw.SQLITE_ERROR),
        ("insert into t values (1, 2)", apsw.SQLITE_READONLY),
        ("select cast(x'ff' as text)", None),
        ("select 1 union all select cast(x'ff' as text)", None),
    ],
)
def test_an_error_is_the_statements_and_costs_no_connection(
    reader: Reader, sql: str, code: int | None
) -> None:
    with pytest.raises(StatementError) as caught:
        asked(reader, sql)
    assert caught.value.sqlite_errorcode == code
    assert len(reader._idle) == len(reader._all)
    assert not any(each.txn_state("main") for each in reader._all)


SPOILT = "values (1), (2), (3), (cast(x'ff' as text))"


def test_an_error_amidst_the_rows_comes_after_those_before_it(reader: Reader) -> None:
    rows = asked(reader, SPOILT).rows

    assert [next(rows) for _ in range(3)] == [(1,), (2,), (3,)]
    with pytest.raises(StatementError, match="not UTF-8"):
        next(rows)


def test_an_error_is_the_result_s_own_when_another_query_needs_its_connection(
    reader: Reader,
) -> None:
    rows = asked(reader, SPOILT).rows
    halves = [asked(reader) for _ in range(reading.MOST_READERS)]

    assert len(halves) == reading.MOST_READERS
    with pytest.raises(StatementError, match="not UTF-8"):
        list(rows)


def test_a_query_that_is_interrupted_says_so(reader: Reader) -> None:
    endless = asked(
        reader,
        "with recursive n(i) as (select 1 union all select i+1 from n) select i from n",
    )
    reader.interrupt()

    with pytest.raises(StatementError) as caught:
        list(endless.rows)
    assert caught.value.sqlite_errorcode == apsw.SQLITE_INTERRUPT


@pytest.mark.parametrize("content", [None, b"this is no database, but it is long" * 99])
def test_a_file_that_is_no_database_says_so(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "nexus.db").write_bytes(content)

    with pytest.raises(NoDatabaseError, match="cannot be read"):
        Reader(tmp_path / "nexus.db")


def test_a_child_after_fork_is_told_to_connect_anew(reader: Reader) -> None:
    def ask() -> None:
        reader.close()
        asked(reader)

    assert in_a_child(ask) == ForkedError.__name__
    assert len(list(asked(reader).rows)) == ROWS


def test_shapes_that_are_remembered_are_bounded(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_SHAPES", 2)
    for number in range(5):
        assert asked(reader, f"select {number}").columns == (str(number),)
    assert len(reader._shapes) <= 2
    assert asked(reader, "").columns == ()


def test_a_state_that_is_held_is_seen_until_it_is_let_go(
    reader: Reader, path: Path
) -> None:
    reader.hold()
    assert len(list(asked(reader).rows)) == ROWS
    with closing(apsw.Connection(str(path))) as writer:
        writer.execute("delete from t")

    assert len(list(asked(reader).rows)) == ROWS
    assert asked(reader, "select a, b from t where a < 0").columns == ("a", "b")
    with pytest.raises(StatementError):
        asked(reader, "select nobody from t")
    with pytest.raises(StatementError, match="not UTF-8"):
        asked(reader, SPOILT)
    reader.let_go()
    reader.let_go()
    assert list(asked(reader).rows) == []


def test_a_pragma_tells_of_the_schema_as_it_is(reader: Reader, path: Path) -> None:
    assert list(asked(reader, "PRAGMA foreign_key_list(child)").rows) == []
    with closing(apsw.Connection(str(path))) as writer:
        writer.execute("create table child(a integer references t(a))")

    rows = list(asked(reader, "PRAGMA foreign_key_list(child)").rows)

    assert [row[2:5] for row in rows] == [("t", "a", "a")]
