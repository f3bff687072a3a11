"""Print for people and for programs: tables, JSON, numbers."""

import json
import sys
from typing import Any, Final

from rich.console import Console
from rich.table import Table

PIPE_COLUMNS: Final = 200
"""Width where no terminal tells one: a pipe must not lose the end of a row."""


_CONTROLS: Final = (
    {code: f"^{chr(code + 64)}" for code in range(32) if chr(code) not in "\t\n"}
    | {127: "^?"}
    | {code: f"\\x{code:02x}" for code in range(128, 160)}
)
"""As sqlite3's own shell writes them."""

_ESCAPES: Final = {code: f"\\u{code:04x}" for code in range(127, 160)}


def harmless(text: str) -> str:
    """What came from elsewhere, so that no terminal takes a part of it for orders."""
    return text.translate(_CONTROLS)


def in_a_line(text: str) -> str:
    """What may hold a name out of the database, which may hold anything."""
    return harmless(text.replace("\n", "\\n").replace("\t", "\\t"))


def harmless_json(text: str) -> str:
    """JSON that says the same, with every character that a terminal might obey escaped.

    JSON itself escapes what is below U+0020.
    """
    return text.translate(_ESCAPES)


def console() -> Console:
    """A console on standard output, wide where that is not a terminal.

    A name in brackets or between colons is a name.
    """
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False, emoji=False)
    return Console(highlight=False, markup=False, emoji=False, width=PIPE_COLUMNS)


def plain_table(title: str = "") -> Table:
    """The house's table: no box around it, one rule under the head."""
    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        header_style="bold dim",
    )


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    print(harmless_json(text))


def print_json_line(value: Any) -> None:
    """One JSON document on one line, for who reads line by line."""
    print(harmless_json(json.dumps(value, ensure_ascii=False)), flush=True)


def print_error(error: object) -> None:
    """One line on standard error; line ends within the message become spaces.

    An exception's notes follow as they are: they show a place in what was typed.
    """
    print("nexus: " + harmless(" ".join(str(error).split())), file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(note, file=sys.stderr)


def count(number: float) -> str:
    """1234567 as `1,234,567`."""
    return f"{number:,.0f}"


def size(number: float) -> str:
    """Bytes as people say them: `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004 - binary units
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TiB"


def seconds(number: float) -> str:
    """A duration with a sensible number of digits: `0.02 s`, `12.3 s`, `4 min`."""
    minute = 60
    if number < 10:  # noqa: PLR2004 - two digits suffice from here on
        return f"{number:.2f} s"
    if number < 2 * minute:
        return f"{number:.1f} s"
    return f"{number / minute:.0f} min"
