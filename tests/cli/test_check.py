"""What of a database replicates as it is, and what needs a change."""

import json
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from cli.conftest import Run
from nexus.cli.demo.processes import CHINOOK


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    path = tmp_path / "troubled.db"
    connection = apsw.Connection(str(path))
    connection.execute(
        "create table good (a integer primary key);"
        "create table bad (k text primary key); insert into bad values (null)"
    )
    connection.close()
    return path


def test_chinook_replicates_as_it_is(run: Run) -> None:
    ended = run("check", CHINOOK)

    assert ended.status == 0
    assert "Invoice" in ended.output
    assert "change it" not in ended.output


@pytest.mark.parametrize(
    ("imported", "told"),
    [(True, "is a node's data directory: its nexus.db"), (False, "is a directory;")],
)
def test_of_a_directory_it_is_told_what_is_expected(
    run: Run, tmp_path: Path, told: str, *, imported: bool
) -> None:
    if imported:
        run("import", CHINOOK, "--data", tmp_path)

    ended = run("check", tmp_path)

    assert ended.status == 1
    assert told in ended.error
    assert "name the file of" in ended.error


def test_a_directory_that_may_not_be_searched_is_called_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> bool:
        raise PermissionError("not for you")  # root may search every one

    monkeypatch.setattr(Path, "is_file", refused)

    ended = run("check", tmp_path)

    assert ended.status == 1
    assert f"{tmp_path} is a directory, and" in ended.error


def test_what_must_change_is_shown_with_its_statement_and_exit_1(
    run: Run, troubled: Path
) -> None:
    ended = run("check", troubled)

    assert ended.status == 1
    assert "change it" in ended.output
    assert 'delete from "bad"' in ended.output
    assert "needs 1 change before it can be replicated (bad)" in ended.error
    assert ended.error.count("\n") == 1
    assert ended.output.index("change it") < ended.output.index("good")


def test_json_holds_every_finding(run: Run, troubled: Path) -> None:
    document = json.loads(run("check", troubled, "--json").output)

    assert document["ok"] is False
    levels = {found["table"]: found["level"] for found in document["findings"]}
    assert levels["good"] == "ok"
    assert "change" in {found["level"] for found in document["findings"]}


@pytest.mark.parametrize("content", [b"x" * 5000, None])
def test_what_is_no_database_is_one_line(
    run: Run, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "none.db"
    if content is not None:
        path.write_bytes(content)

    ended = run("check", path)

    assert ended.status == 1
    assert str(path) in ended.error
    assert ended.error.count("\n") == 1


def test_a_name_gives_a_terminal_no_orders_and_no_lines(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "odd.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute('create table "a\n[/b]\x1b[2J" (k text primary key)')
        connection.execute('insert into "a\n[/b]\x1b[2J" values (null)')

    ended = run("check", path)

    assert "a\\n[/b]^[[2J" in ended.output
    assert "\x1b" not in ended.output + ended.error


def test_a_database_without_tables_is_told_so(run: Run, tmp_path: Path) -> None:
    with closing(apsw.Connection(str(tmp_path / "empty.db"))) as connection:
        connection.execute("create table t(a); drop table t")

    assert "there is no table" in run("check", tmp_path / "empty.db").output


def test_functions_and_collations_may_be_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sorting.py").write_text(
        "def register(connection):\n"
        "    connection.create_collation('din', lambda a, b: (a > b) - (a < b))\n"
    )
    path = tmp_path / "sorted.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.create_collation("din", lambda a, b: (a > b) - (a < b))
        connection.execute("create table t (id integer primary key, n collate din)")
    monkeypatch.syspath_prepend(tmp_path)

    without = run("check", path)
    with_it = run("check", path, "--functions", "sorting")
    imported = run("import", path, "--functions", "sorting", "--data", tmp_path / "d")

    assert "no such collation: din" in without.output
    assert (without.status, with_it.status, imported.status) == (1, 0, 0)
