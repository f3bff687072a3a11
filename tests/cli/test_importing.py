"""An existing database becomes a node's."""

import json
from pathlib import Path

import apsw
import pytest

from cli.conftest import Run
from nexus.cli.demo.processes import CHINOOK


def test_the_rows_stand_in_the_data_directory(run: Run, tmp_path: Path) -> None:
    ended = run("import", CHINOOK, "--data", tmp_path / "data")

    assert ended.status == 0
    assert f"nexus serve --data {tmp_path / 'data'}" in ended.output
    connection = apsw.Connection(
        str(tmp_path / "data" / "nexus.db"), flags=apsw.SQLITE_OPEN_READONLY
    )
    tracks = connection.execute("select count(*) from Track").fetchall()
    connection.close()
    assert tracks == [(3503,)]


def test_a_directory_is_no_database(run: Run, tmp_path: Path) -> None:
    ended = run("import", tmp_path, "--data", tmp_path / "data")

    assert ended.status == 1
    assert f"'{tmp_path}' is a directory; name the file" in ended.error


def test_json_tells_directory_and_findings(run: Run, tmp_path: Path) -> None:
    ended = run("import", CHINOOK, "--data", tmp_path / "data", "--json")

    document = json.loads(ended.output)
    assert document["ok"] is True
    assert document["data_dir"] == str(tmp_path / "data")


@pytest.mark.parametrize("format_", [[], ["--json"]])
def test_a_database_that_needs_a_change_is_not_imported(
    run: Run, tmp_path: Path, format_: list[str]
) -> None:
    source = tmp_path / "bad.db"
    connection = apsw.Connection(str(source))
    connection.execute("create table bad (k text primary key)")
    connection.execute("insert into bad values (null)")
    connection.close()

    ended = run("import", source, "--data", tmp_path / "data", *format_)

    assert ended.status == 1
    assert "delete from" in ended.output
    assert "needs 1 change" in ended.error
    assert not (tmp_path / "data").exists()


def test_a_directory_with_a_node_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    run("import", CHINOOK, "--data", tmp_path / "data")

    ended = run("import", CHINOOK, "--data", tmp_path / "data")

    assert ended.status == 1
    assert "holds a node already" in ended.error
