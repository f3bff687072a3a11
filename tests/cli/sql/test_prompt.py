"""What a person types at a terminal becomes entries."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from nexus.cli.sources import FileSource
from nexus.cli.sql.prompt import Names, typed
from nexus.cli.sql.shell import Shell

ENTER, TAB, CONTROL_C, CONTROL_D, UP = "\r", "\t", "\x03", "\x04", "\x1b[A"

Type = Callable[[str], list[str]]


@pytest.fixture
def keyboard() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe:
        yield pipe


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def type_keys(source: FileSource, keyboard: PipeInput, home: Path) -> Type:
    assert home.is_dir()

    def entries(keys: str) -> list[str]:
        keyboard.send_text(keys + CONTROL_D)
        return list(typed(Shell(source), input=keyboard, output=DummyOutput()))

    return entries


def test_enter_goes_on_until_a_statement_is_whole(type_keys: Type) -> None:
    keys = f"select 1{ENTER}from t;{ENTER}.tables{ENTER}{ENTER}"

    assert type_keys(keys) == ["select 1\nfrom t;", ".tables"]


def test_control_c_drops_what_was_typed(type_keys: Type) -> None:
    assert type_keys(f"select ({CONTROL_C}select 2;{ENTER}") == ["select 2;"]


def test_an_entry_can_be_had_again_in_the_next_shell(
    type_keys: Type, home: Path
) -> None:
    type_keys(f"select 1;{ENTER}")

    assert type_keys(f"{UP}{ENTER}") == ["select 1;"]
    assert stat.S_IMODE((home / ".nexus_history").stat().st_mode) == 0o600


def test_a_home_that_cannot_be_written_costs_the_history_alone(
    type_keys: Type, home: Path
) -> None:
    (home / ".nexus_history").mkdir()

    assert type_keys(f"select 1;{ENTER}") == ["select 1;"]


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        (".t", [".tables", ".timer"]),
        (".mode m", ["markdown"]),
        (".timer o", ["on", "off"]),
        (".schema al", ["albums"]),
        (".read x", []),
        ("select * from lo", ["long_titles"]),
    ],
)
def test_names_are_completed_as_the_place_asks(
    before: str, wanted: list[str], source: FileSource
) -> None:
    offered = Names(Shell(source)).get_completions(Document(before), CompleteEvent())

    assert [each.text for each in offered] == wanted
