"""Read the lines of a script as they are: strings keep all that a line may hold."""

import os
import select
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from nexus.cli.outcome import NotDoneError

READ_BYTES: Final = 64 << 10


def decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines as text; raises NotDoneError that names the one that is none."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise NotDoneError(
                f"'{name}' cannot be read: line {number} is not UTF-8 ({error.reason} "
                f"at its byte {error.start + 1})"
            ) from None


class Arriving:
    """The lines of a pipe or a file, and whether the next one is there already."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._rest: list[bytes] = []
        """Pieces of the line that has not ended yet."""
        self._has_ended = False

    def __iter__(self) -> Iterator[bytes]:
        """Each with its end; waits for those that have not come."""
        while True:
            while self._lines:
                yield self._lines.popleft()
            if self._has_ended:
                return
            self._read()

    def is_ready(self) -> bool:
        """Whether the next line, or the end, need not be waited for."""
        if self._lines or self._has_ended:
            return True
        return bool(select.select([self._descriptor], [], [], 0)[0])

    def _read(self) -> None:
        piece = os.read(self._descriptor, READ_BYTES)
        if not piece:
            self._has_ended = True
            last = b"".join(self._rest)
            self._lines.extend([last] if last else [])
            return
        self._rest.append(piece)
        if b"\n" in piece:
            *whole, rest = b"".join(self._rest).split(b"\n")
            self._lines.extend(line + b"\n" for line in whole)
            self._rest = [rest] if rest else []
