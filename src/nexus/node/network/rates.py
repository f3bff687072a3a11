"""How often each caller may ask: a bucket that fills again as time goes by."""

import time
from collections.abc import Callable
from typing import Final

from nexus.errors import RateLimitedError

MOST_CALLERS: Final = 10_000
"""Remembered at once; the one that was heard the longest ago is forgotten first."""


class Rates:
    """Lets each caller ask so often a second; for one event loop."""

    def __init__(
        self, per_second: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`per_second` 0: as often as it likes."""
        self._per_second = per_second
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}
        """Of each caller: how many requests it had left, and when."""

    def spend(self, caller: str) -> None:
        """One more request of this caller; raises RateLimitedError for too many.

        Who has been quiet for a second may ask for a second's worth at once.
        """
        if not self._per_second:
            return
        most, now = float(self._per_second), self._clock()
        left, since = self._left.pop(caller, (most, now))
        left = min(most, left + (now - since) * most)
        self._left[caller] = (max(left - 1, 0) if left >= 1 else left, now)
        if len(self._left) > MOST_CALLERS:
            del self._left[next(iter(self._left))]
        if left < 1:
            raise RateLimitedError(
                f"{caller} has made more than {self._per_second} requests a second "
                "(limits.requests_per_second)"
            )
