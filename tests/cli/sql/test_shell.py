"""A shell runs entries one after another, and survives what is wrong with them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from nexus.cli.answer import Answer, Rows
from nexus.cli.sources import FileSource
from nexus.cli.sql.printing import Mode
from nexus.cli.sql.script import Entry
from nexus.cli.sql.shell import Shell
from nexus.errors import NexusError, StatementError

Said = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def shell(source: FileSource) -> Shell:
    return Shell(source, Mode.CSV)


@pytest.fixture
def said(shell: Shell, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a conversation of these entries prints, and what it complains of."""

    def converse(*entries: str) -> tuple[list[str], list[str]]:
        shell.converse(entries)
        output, error = capsys.readouterr()
        return output.splitlines(), error.splitlines()

    return converse


def test_an_error_is_shown_with_a_caret_and_ends_nothing(said: Said) -> None:
    output, error = said("select name,\n  missing\nfrom artists;", "select 9 as nine;")

    assert error == [
        "nexus: no such column: missing (statement 1)",
        "    missing",
        "    ^",
    ]
    assert output == ["nine", "9"]


def test_tables_are_listed_but_not_those_of_nexus(said: Said) -> None:
    assert said(".tables")[0] == ["albums", "artists", "long_titles"]
    assert said(".tables a%")[0] == ["albums", "artists"]


def test_a_schema_is_told_as_it_was_written(said: Said) -> None:
    wanted = "CREATE TABLE artists (id integer primary key, name);"

    assert said(".schema artists")[0] == [wanted]
    assert wanted in said(".schema;")[0]
    assert said(".schema it's")[0] == []


def test_a_mode_holds_until_the_next_one(said: Said) -> None:
    output, error = said(
        ".mode line", "select 1 as a;", ".mode", ".mode list", "select 2;", ".mode x"
    )

    assert output == ["a = 1", "line", "2"]
    assert error == [
        "nexus: there is no mode 'x'; choose of table, line, list, csv, json, markdown"
    ]


def test_a_timer_says_how_long_each_entry_took(said: Said) -> None:
    output, error = said(
        ".timer on", "select 1;", ".timer off", "select 2;", ".timer maybe"
    )

    assert output[:2] == ["1", "1"]
    assert output[2].startswith("took ")
    assert output[3:] == ["2", "2"]
    assert error == ["nexus: write .timer on, or .timer off"]


def test_a_file_is_read_up_to_its_first_error(said: Said, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(".mode list\nselect 1;\nselect missing;\nselect 2;\n")

    output, error = said(f".read {script}", "select 3;")

    assert output == ["1", "3"]
    assert error == [
        "nexus: no such column: missing (statement 1)",
        "  select missing;",
        "         ^",
        "in the statement that begins in line 3",
    ]


def test_a_file_that_reads_itself_is_refused(said: Said, tmp_path: Path) -> None:
    script = tmp_path / "loop.sql"
    script.write_text(f".read {script}\n")

    assert "reads itself" in said(f".read {script}")[1][0]


def test_a_file_that_cannot_be_read_is_named(said: Said, tmp_path: Path) -> None:
    picture = tmp_path / "picture"
    picture.write_bytes(b"\xff\xfe\xfd")

    assert said(".read nowhere.sql")[1] == [
        "nexus: 'nowhere.sql' cannot be read: No such file or directory"
    ]
    assert "picture' cannot be read" in said(f".read {picture}")[1][0]


def test_quit_ends_the_conversation_there(said: Said) -> None:
    assert said("select 1;", ".quit", "select 2;")[0] == ["1", "1"]
    assert said(".exit", "select 2;")[0] == []


def test_help_names_every_command(said: Said, shell: Shell) -> None:
    text = "\n".join(said(".help")[0])

    assert all(name in text for name in shell.commands if name != ".help")
    assert said(".nonsense")[1] == [
        "nexus: there is no .nonsense; .help lists what there is"
    ]


def test_a_script_ends_at_its_first_error(shell: Shell) -> None:
    with pytest.raises(NexusError, match="no such table"):
        shell.obey([Entry("select 1 from nowhere;"), Entry(".quit")])

    shell.obey(map(Entry, [".mode json", ".quit", "select 1 from nowhere;"]))
    assert shell.mode is Mode.JSON


def test_control_c_gives_up_the_entry_and_not_the_shell(
    shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shell, "run", interrupted)
        shell.converse(["select 1;", "select 2;"])

    assert capsys.readouterr().err.count("given up") == 2


class Writable(FileSource):
    """A source on which every statement but a query is done, it says."""

    @override
    def run(self, sql: str) -> Answer:
        return super().run(sql) if sql.startswith("select") else Answer([Rows((), [])])


def test_names_that_were_not_told_are_asked_for_again(
    source: FileSource, tmp_path: Path
) -> None:
    class Failed(Writable):
        is_over = False

        @override
        def run(self, sql: str) -> Answer:
            if not self.is_over:
                raise StatementError("the transaction has failed")
            return super().run(sql)

    assert source.name.startswith(str(tmp_path))
    failed = Failed(tmp_path)
    shell = Shell(failed)
    assert shell.schema.columns == {}
    failed.is_over = True
    assert "artists" in shell.schema.columns


def test_names_are_read_again_after_a_statement_that_is_no_query(
    source: FileSource, tmp_path: Path
) -> None:
    assert source.name.startswith(str(tmp_path))
    shell = Shell(Writable(tmp_path))
    known = shell.schema

    shell.run("select 1")
    assert shell.schema is known

    shell.run("create table t(a)")
    assert shell.schema is not known


def test_a_person_is_told_once_that_an_open_transaction_does_not_wait_for_long(
    source: FileSource, capsys: pytest.CaptureFixture[str]
) -> None:
    class Holding:
        name = "a node"
        holds_writer = False
        most_at_once = 1

        def run(self, sql: str) -> Answer:
            self.holds_writer = sql.startswith("begin")
            return Answer(results=[])

        def run_each(self, statements: Sequence[str]) -> Answer:
            return self.run(statements[0])

        def close(self) -> None:
            """Nothing is held."""

    shell = Shell(Holding())
    shell.converse(["select 1;", "begin;", "commit;", "begin;"])
    output = capsys.readouterr().out.splitlines()
    Shell(source).converse(["begin;"])

    assert len(output) == 1
    assert "rolled back after 5 s (limits.idle_transaction_ms" in output[0]
    assert "rolled back" not in capsys.readouterr().out
