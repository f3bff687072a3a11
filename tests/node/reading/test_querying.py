"""A query on a reader, and what it says when it cannot be answered."""

from pathlib import Path

import apsw
import pytest

from nexus.errors import NodeStoppedError, StatementError
from nexus.node.reading.querying import query
from nexus.storage.capturing.results import Statement
from nexus.storage.sqlite.connections import open_reader


@pytest.fixture
def reader(tmp_path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(tmp_path / "a.db"))
    connection.execute("create table t(a integer)")
    connection.close()
    return open_reader(tmp_path / "a.db")


def test_an_answer_has_the_columns_with_their_declared_types(
    reader: apsw.Connection,
) -> None:
    result = query(reader, Statement("select a, 1 as b from t"))

    assert (result.columns, result.rows) == (("a", "b"), [])
    assert result.decltypes == ("INTEGER", None)


@pytest.mark.parametrize(
    "statement", [Statement("select nobody from t"), Statement("select ?", (1 << 70,))]
)
def test_what_sqlite_or_its_binding_refuses_is_the_statements_error(
    reader: apsw.Connection, statement: Statement
) -> None:
    with pytest.raises(StatementError) as refused:
        query(reader, statement, 3)
    assert refused.value.index == 3


def test_a_query_that_is_interrupted_says_that_the_node_stops(
    reader: apsw.Connection,
) -> None:
    reader.set_progress_handler(lambda: True, 1)

    with pytest.raises(NodeStoppedError):
        query(reader, Statement("select count(*) from t"))


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA foreign_key_list(child)",
        "select * from pragma_foreign_key_list('child')",
    ],
)
def test_a_pragma_tells_of_the_schema_as_it_is(
    reader: apsw.Connection, tmp_path: Path, sql: str
) -> None:
    assert query(reader, Statement(sql)).rows == []
    with apsw.Connection(str(tmp_path / "a.db")) as writer:
        writer.execute("create table child(a integer references t(a))")

    rows = query(reader, Statement(sql)).rows

    assert [row[2:5] for row in rows] == [("t", "a", "a")]
