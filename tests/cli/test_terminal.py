"""Numbers as people read them."""

from collections.abc import Callable

import pytest

from nexus.cli.terminal import (
    count,
    print_error,
    print_json,
    print_json_line,
    seconds,
    size,
)


def test_numbers_are_grouped() -> None:
    assert count(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes_have_a_unit(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0.018, "0.02 s"), (12.34, "12.3 s"), (240, "4 min")]
)
def test_durations_have_a_sensible_number_of_digits(number: float, text: str) -> None:
    assert seconds(number) == text


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("a\n  b \x1b[2J")

    assert capsys.readouterr().err == "nexus: a b ^[[2J\n"


@pytest.mark.parametrize("write", [print_json, print_json_line])
def test_json_gives_no_terminal_orders(
    write: Callable[[object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write("ü\x9b0m\x7f")

    assert capsys.readouterr().out == '"ü\\u009b0m\\u007f"\n'
