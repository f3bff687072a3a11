"""Lines of a file or a pipe, grouped into what a shell runs at once."""

from collections.abc import Iterable, Iterator

import apsw


def is_whole(text: str) -> bool:
    """Whether `text` can be run as it is: a dot command, or whole statements."""
    return text.lstrip().startswith(".") or apsw.complete(text)


def entries(lines: Iterable[str]) -> Iterator[str]:
    """Texts that each end with a whole statement; the last may lack its semicolon."""
    pending = ""
    for line in lines:
        pending += line if line.endswith("\n") else f"{line}\n"
        if not pending.strip():
            pending = ""
        elif is_whole(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending
