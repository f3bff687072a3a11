"""Which runs are to become one: an archive of many small objects is slow to restore.

Pure: runs in, groups of them out. So many neighbours become one run, so many of those a
larger one, and so on, until they are large enough.
"""

from dataclasses import dataclass
from typing import Final

from nexus.archive.names import RunName

FAN_IN: Final = 32
"""Neighbours of one level that become a run of the next."""


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbours of one reign that are to become one run."""

    runs: tuple[RunName, ...]
    level: int
    """How often these entries will have been merged then."""


class Merging:
    """Remembers the runs that one uploader has written, in their order."""

    def __init__(self, *, most_bytes: int) -> None:
        """No run of more than `most_bytes`, uncompressed, is made."""
        self._most = most_bytes
        self._levels: dict[int, list[tuple[RunName, int]]] = {}

    def add(self, run: RunName, size: int, level: int = 0) -> Group | None:
        """A run of so many bytes was written; what is to be merged now."""
        waiting = self._levels.setdefault(level, [])
        if waiting and not _are_neighbours(waiting[-1][0], run):
            waiting.clear()
        waiting.append((run, size))
        if len(waiting) < FAN_IN:
            return None
        runs = tuple(name for name, _ in waiting)
        total = sum(each for _, each in waiting)
        waiting.clear()
        return Group(runs, level + 1) if total <= self._most else None


def _are_neighbours(run: RunName, following: RunName) -> bool:
    return run.reign == following.reign and run.last + 1 == following.first
