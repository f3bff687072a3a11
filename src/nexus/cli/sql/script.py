"""Lines of a file or a pipe, grouped into what a shell runs at once."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import apsw

from nexus.model.statements import may_have_rows, split

MOST_CHARACTERS: Final = 256 << 10
"""Of the statements that are sent at once, but for the last."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in a script up to the end of a statement."""

    text: str
    line: int = 0
    """Where it begins; 0: in no file."""

    @property
    def may_be_joined(self) -> bool:
        """Whether it is one statement: several are a transaction of their own."""
        return not _is_command(self.text) and len(split(self.text)) < 2  # noqa: PLR2004


def is_whole(text: str) -> bool:
    """Whether `text` can be run as it is: a dot command, or whole statements."""
    return _is_command(text) or apsw.complete(text)


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Each ends with a whole statement; the last may lack its semicolon."""
    pending: list[str] = []
    began = 0
    for number, line in enumerate(lines, 1):
        if not pending:
            began = number
        pending.append(line if line.endswith("\n") else f"{line}\n")
        if not line.strip() and not "".join(pending).strip():
            pending = []
        elif _may_end(line, pending) and is_whole(text := "".join(pending)):
            yield Entry(text, began)
            pending = []
    if (text := "".join(pending)).strip():
        yield Entry(text, began)


def grouped(
    script: Iterable[Entry], *, most: int, is_ready: Callable[[], bool]
) -> Iterator[tuple[Entry, ...]]:
    """What is sent at once: statements that stand there already, in their order.

    A group has one query at most, as its last: answers may be large. `is_ready` tells
    whether the next line need not be waited for.
    """
    group: list[Entry] = []
    characters = 0
    for entry in script:
        if not entry.may_be_joined:
            if group:
                yield tuple(group)
            yield (entry,)
            group, characters = [], 0
            continue
        group.append(entry)
        characters += len(entry.text)
        if (
            len(group) >= most
            or characters > MOST_CHARACTERS
            or may_have_rows(entry.text)
            or not is_ready()
        ):
            yield tuple(group)
            group, characters = [], 0
    if group:
        yield tuple(group)


def _is_command(text: str) -> bool:
    return text.lstrip().startswith(".")


def _may_end(line: str, pending: list[str]) -> bool:
    """Whether it is worth a look: it takes the time of the whole statement."""
    return ";" in line or _is_command(pending[0]) or not pending[0].strip()
