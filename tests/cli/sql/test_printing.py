"""Each mode prints the same rows in its own way."""

import json
from collections.abc import Callable

import pytest

from nexus.cli.answer import Answer, Rows
from nexus.cli.sql.printing import SHOWS, Mode

QUERY = Answer([Rows(("a", "long"), [(1, "x|y\nz"), (None, b"\x00\xff")])])
WRITE = Answer(
    [Rows((), [], rows_affected=1), Rows((), [], rows_affected=-1)],
    offset=1009,
    epoch=2,
    outcome="committed",
    durable_on=2,
)

Printed = Callable[[Mode, Answer], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def show(mode: Mode, answer: Answer) -> str:
        SHOWS[mode](answer)
        return capsys.readouterr().out

    return show


def test_every_mode_can_be_shown() -> None:
    assert set(SHOWS) == set(Mode)


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        (Mode.LINE, "   a = 1\nlong = x|y\nz\n\n   a = NULL\nlong = x'00ff'\n"),
        (Mode.LIST, "1|x|y\nz\n|x'00ff'\n"),
        (Mode.CSV, "a,long\n1,\"x|y\nz\"\n,x'00ff'\n"),
        (
            Mode.MARKDOWN,
            "| a | long |\n| --- | --- |\n| 1 | x\\|y<br>z |\n| NULL | x'00ff' |\n",
        ),
    ],
)
def test_a_mode_has_a_form_of_its_own(mode: Mode, text: str, printed: Printed) -> None:
    assert printed(mode, QUERY) == text


@pytest.mark.parametrize("mode", [Mode.TABLE, Mode.LINE])
def test_people_are_told_what_a_write_did(mode: Mode, printed: Printed) -> None:
    assert printed(mode, WRITE).splitlines() == [
        "1 row changed",
        "done",
        "committed at offset 1,009, durable on 2 nodes",
    ]


@pytest.mark.parametrize("mode", [Mode.LIST, Mode.CSV, Mode.MARKDOWN])
def test_other_tools_are_told_of_rows_alone(mode: Mode, printed: Printed) -> None:
    assert printed(mode, WRITE) == ""


def test_json_tells_all_there_is_to_know(printed: Printed) -> None:
    document = json.loads(printed(Mode.JSON, WRITE))

    assert document["offset"] == 1009
    assert [result["rows_affected"] for result in document["results"]] == [1, -1]
    assert json.loads(printed(Mode.JSON, QUERY))["results"][0]["rows"][1] == [
        None,
        {"$blob": "AP8="},
    ]


ORDERS = Answer([Rows(("a\x1b[2J",), [("\x1b[31mred\r\x9b0m\tü\x7f",)])])


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.JSON])
def test_no_value_gives_a_terminal_orders(
    mode: Mode, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout.isatty", lambda: True, raising=False)
        shown = printed(mode, ORDERS)

    assert "^[[31mred^M\\x9b0m" in shown
    assert "ü^?" in shown
    assert not {"\r", "\x9b", "\x7f"} & set(shown)


def test_json_says_the_same_and_gives_no_terminal_orders(printed: Printed) -> None:
    shown = printed(Mode.JSON, ORDERS)

    assert not {"\x1b", "\r", "\x9b", "\x7f"} & set(shown)
    (result,) = json.loads(shown)["results"]
    assert (result["columns"], tuple(result["rows"][0])) == (
        ["a\x1b[2J"],
        ("\x1b[31mred\r\x9b0m\tü\x7f",),
    )


@pytest.mark.parametrize("mode", [Mode.LIST, Mode.CSV, Mode.MARKDOWN])
def test_other_tools_get_values_as_they_are(mode: Mode, printed: Printed) -> None:
    assert "\x1b[31mred\r\x9b0m\tü\x7f" in printed(mode, ORDERS)
