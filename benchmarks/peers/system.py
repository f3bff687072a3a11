"""What every measured system can do, and what proves its figures."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

CLIENTS: Final = 64
TEXT: Final = "a row is about as long as this one: fifty characters"

START_TIMEOUT_S: Final = 60.0
LOAD_TIMEOUT_S: Final = 120.0
FOLLOW_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a system shows for all that was committed on it so far."""

    rows_on_replicas: tuple[int, ...]
    """Counted by reading each replica, after it had time to apply them."""
    doubts: tuple[str, ...]
    """Why its commits were not synchronous; empty where they were."""
    shown: str
    """By which figures of the system itself they were, for people."""


class System(Protocol):
    """A primary with two replicas, running, its table empty at first."""

    @property
    def name(self) -> str:
        """As the table calls it."""
        ...

    @property
    def version(self) -> str:
        """What was measured."""
        ...

    @property
    def settings(self) -> str:
        """Those that durability and replication hang on, and the client."""
        ...

    async def commit(self, count: int) -> float:
        """`count` inserts of one row, each its own commit, by 64 clients.

        Returns how many a second. Raises NotDoneError unless all succeeded.
        """
        ...

    async def evidence(self, rows: int) -> Evidence:
        """Wait until both replicas show `rows` rows, at most FOLLOW_TIMEOUT_S."""
        ...


def counted(
    count: Callable[[str], str], replicas: Sequence[str], rows: int
) -> tuple[int, ...]:
    """The replicas' rows, once each has `rows`, or after FOLLOW_TIMEOUT_S."""
    deadline = time.monotonic() + FOLLOW_TIMEOUT_S
    while True:
        found = tuple(int(count(name)) for name in replicas)
        if min(found) >= rows or time.monotonic() > deadline:
            return found
        time.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a system may live."""

    root: Path
    """An empty directory, its own, on the disk that is measured."""
    tell: Callable[[str], None]
    """Say what happens now."""
