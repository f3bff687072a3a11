"""Wait until the database holds an entry: how a client reads its own write."""

import asyncio
from bisect import insort
from collections.abc import Callable

from nexus.model.position import Offset


class OffsetWaiters:
    """Who waits for which offset; belongs to one event loop."""

    def __init__(self, applied: Callable[[], Offset]) -> None:
        self._applied = applied
        self._waiting: list[tuple[Offset, int, asyncio.Future[None]]] = []
        self._number = 0

    @property
    def count(self) -> int:
        """How many wait; any thread may ask, once it has applied what they wait for."""
        return len(self._waiting)

    def passed(self, offset: Offset) -> None:
        """The database holds everything up to `offset`."""
        while self._waiting and self._waiting[0][0] <= offset:
            _, _, reached = self._waiting.pop(0)
            if not reached.done():
                reached.set_result(None)

    async def wait(self, offset: Offset, *, timeout_s: float) -> None:
        """Return once the database holds `offset`; TimeoutError if not by then."""
        if self._applied() >= offset:
            return
        self._number += 1  # no two futures are ever compared
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (offset, self._number, reached)
        insort(self._waiting, place)
        # Whoever applies looks for waiters afterwards: one of the two sees the other.
        self.passed(self._applied())
        try:
            async with asyncio.timeout(timeout_s):
                await reached
        finally:
            if place in self._waiting:
                self._waiting.remove(place)
