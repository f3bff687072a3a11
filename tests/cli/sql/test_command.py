"""One statement, a script, or a shell."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

import nexus
from cli.conftest import Run
from cli.fake_nodes import FakeNode

Start = Callable[[], FakeNode]

WRITTEN = {
    "results": [
        {"columns": [], "rows": [], "rows_affected": 1, "last_insert_rowid": 3}
    ],
    "offset": 1009,
    "epoch": 2,
    "outcome": "committed",
    "durable_on": 1,
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    connection = apsw.Connection(str(tmp_path / "nexus.db"))
    connection.execute(
        "create table t (a integer primary key, b);"
        "create table nexus_position (id);"
        "insert into t values (1, 'x,y'), (2, null), (3, x'00ff')"
    )
    connection.close()
    return tmp_path


def test_a_query_prints_a_table(run: Run, directory: Path) -> None:
    ended = run("sql", directory, "select * from t")

    assert ended.status == 0
    lines = [line.split() for line in ended.output.splitlines()]
    assert lines == [["a", "b"], ["1", "x,y"], ["2", "NULL"], ["3", "x'00ff'"]]


def test_a_value_that_looks_like_markup_is_printed_as_it_is(
    run: Run, directory: Path
) -> None:
    ended = run("sql", directory, "select '[red]x' as \"[b]\"")

    assert ended.output.split() == ["[b]", "[red]x"]


def test_csv_quotes_what_must_be_quoted(run: Run, directory: Path) -> None:
    ended = run("sql", directory, "select * from t", "--csv")

    assert ended.output == "a,b\n1,\"x,y\"\n2,\n3,x'00ff'\n"


def test_json_holds_columns_and_rows(run: Run, directory: Path) -> None:
    ended = run("sql", directory, "select * from t where a = 3", "--json")

    (result,) = json.loads(ended.output)["results"]
    assert result["columns"] == ["a", "b"]
    assert result["rows"] == [[3, {"$blob": "AP8="}]]


def test_a_write_tells_offset_outcome_and_durability(run: Run, start: Start) -> None:
    node = start().on("POST /sql", WRITTEN)

    told = run("sql", node.url, "delete from t")
    as_json = run("sql", node.url, "delete from t", "--json")

    assert told.output == (
        "1 row changed\ncommitted at offset 1,009, durable on 1 node\n"
    )
    assert json.loads(as_json.output)["offset"] == 1009


def test_a_cluster_is_named_as_clients_name_it(run: Run, tmp_path: Path) -> None:
    with nexus.open(tmp_path, role="master", bind="127.0.0.1:0") as node:
        url = f"nexus://{node.node._parts.address}"
        made = run("sql", url, "create table t(v); insert into t values (1)")
        nobody = run("sql", url, "select * from nowhere")

    assert made.status == 0
    assert "committed at offset" in made.output
    assert "durable" not in made.output, "the protocol does not say on how many"
    assert nobody.status == 1


def test_a_statement_that_counts_no_rows_is_simply_done(run: Run, start: Start) -> None:
    uncounted = {"columns": [], "rows": [], "rows_affected": -1, "last_insert_rowid": 0}
    node = start().on("POST /sql", {**WRITTEN, "results": [uncounted]})

    assert run("sql", node.url, "create table u(a)").output.startswith("done\n")


def test_a_refused_statement_is_one_line_and_exit_1(run: Run, directory: Path) -> None:
    ended = run("sql", directory, "delete from t")

    assert ended.status == 1
    assert ended.error.startswith("nexus: a data directory is only read")
    assert ended.error.count("\n") == 1


def test_a_dot_command_may_be_the_statement(run: Run, directory: Path) -> None:
    assert run("sql", directory, ".tables").output == "t\n"


def test_two_formats_at_once_are_wrong_usage(run: Run, directory: Path) -> None:
    assert run("sql", directory, "select 1", "--json", "--csv").status == 2


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Have standard input hold a text."""
    kept = os.dup(0)

    def hold(text: str) -> None:
        script = tmp_path / "script.sql"
        script.write_text(text)
        file = os.open(script, os.O_RDONLY)
        os.dup2(file, 0)
        os.close(file)

    yield hold
    os.dup2(kept, 0)
    os.close(kept)


def test_standard_input_is_a_script(
    run: Run, directory: Path, pipe: Callable[[str], None]
) -> None:
    pipe("select 1;\nselect\n 2;\nselect 3")

    ended = run("sql", directory, "--csv")

    assert ended.output == "1\n1\n2\n2\n3\n3\n"
