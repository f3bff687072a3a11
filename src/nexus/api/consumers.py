"""How many read the change feed at once, and how they are told that the node stops."""

import asyncio
from typing import Final

from nexus.api.refusals import TooManyConsumersError

MOST_CONSUMERS: Final = 64
"""Each may hold about a MiB of the log and a piece of an answer."""


class Consumers:
    """Those of one node's API; belongs to its event loop."""

    def __init__(self, most: int = MOST_CONSUMERS) -> None:
        self.stopping = asyncio.Event()
        """Set once: their answers are to end."""
        self._most = most
        self._count = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return self._count

    def enter(self) -> None:
        """One more, until it leaves; raises TooManyConsumersError."""
        if self._count >= self._most:
            raise TooManyConsumersError(
                f"{self._most} consumers read this node's changes or watch its cluster"
            )
        self._count += 1

    def leave(self) -> None:
        """One reads no more."""
        self._count -= 1
