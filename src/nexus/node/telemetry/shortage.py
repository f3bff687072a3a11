"""A disk without space, told of once when it begins, and once when it has ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from nexus.errors import DiskFullError
from nexus.node.telemetry.events import EventLog

SPACE_RETRY_S: Final = 1.0
"""How often work that found no space is tried again."""

SETTLE_S: Final = 5.0
"""What is small may still find room where the large finds none: only when nothing has
been refused for so long does a write that is done mean that there is space again."""


class Shortage:
    """One place that may lack space; any thread, one at a time."""

    def __init__(self, events: EventLog) -> None:
        self.reason = ""
        """What found no space; empty while nothing lacks it."""
        self._events = events
        self._refused_at = 0.0
        self._goes_on = False

    @property
    def stops_all(self) -> bool:
        """Whether nothing has found space since something was refused."""
        return bool(self.reason) and not self._goes_on

    def begins(self, error: DiskFullError) -> None:
        """Something found no space."""
        self._refused_at, self._goes_on = time.monotonic(), False
        if not self.reason:
            self._events.error("disk_full", str(error))
        self.reason = str(error)

    def settles(self) -> None:
        """Something found space, if not what was refused before."""
        self._goes_on = True
        if self.reason and time.monotonic() - self._refused_at >= SETTLE_S:
            self.ends()

    def ends(self) -> None:
        """What found no space is done."""
        if self.reason:
            # First: another thread that finds no reason any more finds the event.
            self._events.info("disk_has_space", "what found no space is done")
            self.reason = ""

    async def outlast(
        self, work: Callable[[], Awaitable[None]], *, unless: Callable[[], bool]
    ) -> None:
        """Do it; where the disk is full, again and again until there is space.

        Raises DiskFullError where `unless` says that trying again would not help.
        """
        while True:
            try:
                await work()
            except DiskFullError as error:
                if unless():
                    raise
                self.begins(error)
                await asyncio.sleep(SPACE_RETRY_S)
            else:
                self.ends()
                return
