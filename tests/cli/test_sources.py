"""Where SQL is run: a node, or a data directory's file."""

import math
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from cli.fake_nodes import FakeNode
from nexus.cli.outcome import NotDoneError
from nexus.cli.sources import (
    FileSource,
    NodeSource,
    open_source,
)
from nexus.errors import StatementError

Start = Callable[[], FakeNode]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    connection = apsw.Connection(str(tmp_path / "nexus.db"))
    connection.execute(
        "create table t (a integer primary key, b); insert into t values (1, x'00ff')"
    )
    connection.close()
    return tmp_path


def test_a_node_gets_the_statements_one_by_one(start: Start) -> None:
    result = {
        "columns": ["a", "b"],
        "rows": [[1, {"$blob": "AP8="}], [2, {"$float": "-Infinity"}]],
        "rows_affected": 0,
        "last_insert_rowid": 0,
    }
    node = start().on(
        "POST /sql",
        {
            "results": [result],
            "offset": 9,
            "epoch": 2,
            "outcome": "committed",
            "durable_on": 1,
        },
    )
    source = NodeSource(node.url, "")

    answer = source.run("insert into t values (1); select ';' from t;")
    source.close()

    (body,) = node.bodies("/sql")
    assert [statement["sql"].rstrip(";") for statement in body["statements"]] == [
        "insert into t values (1)",
        "select ';' from t",
    ]
    assert answer.results[0].rows == [(1, b"\x00\xff"), (2, -math.inf)]
    assert answer.offset == 9


def test_nothing_to_run_asks_nobody() -> None:
    source = NodeSource("http://127.0.0.1:1", "")

    assert source.run(" -- nothing\n").results == []
    source.close()


def test_a_directory_is_read_with_columns_even_of_no_rows(directory: Path) -> None:
    source = FileSource(directory)

    full, empty = source.run("select * from t; select a as x from t where 0").results
    source.close()

    assert full.columns == ("a", "b")
    assert full.rows == [(1, b"\x00\xff")]
    assert empty.columns == ("x",)
    assert empty.rows == []


def test_a_directory_is_not_written(directory: Path) -> None:
    source = FileSource(directory)

    with pytest.raises(StatementError, match="URL of its node"):
        source.run("insert into t values (2, 2)")
    source.close()


def test_an_sql_error_names_the_statement(directory: Path) -> None:
    source = FileSource(directory)

    with pytest.raises(StatementError, match=r"no such table: u \(statement 2\)"):
        source.run("select 1; select * from u")
    source.close()


def test_what_is_meant_is_seen_from_the_target(directory: Path) -> None:
    file, node = open_source(str(directory), ""), open_source("127.0.0.1:1", "")

    assert file.name == str(directory / "nexus.db")
    assert node.name == "http://127.0.0.1:1"
    file.close()
    node.close()


def test_a_directory_without_a_database_or_none_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotDoneError, match=r"no nexus\.db"):
        open_source(str(tmp_path), "")
    with pytest.raises(NotDoneError, match="no directory"):
        open_source(f"{tmp_path}/none", "")


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "nexus.db").write_bytes(b"x" * 5000)
    source = FileSource(tmp_path)

    with pytest.raises(StatementError, match="not a database"):
        source.run("select 1 from sqlite_schema")
    source.close()
