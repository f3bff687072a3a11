"""Group commit: how long a batch waits for clients that are about to write, too."""

import time
from collections.abc import Callable
from typing import Final

GATHER_SHARE: Final = 0.5
"""In sync mode a batch waits for others at most this share of what the last took."""

GATHER_LIMIT_S: Final = 0.002
GATHER_STEP_S: Final = 0.0002
"""Its looks at the queue meanwhile: woken by each client it would cost them more."""


class CommitDelay:
    """As many clients as write at once are worth a moment's wait before a slow batch.

    Those that were answered write again at once, as a rule, but a moment after the
    next batch could begin: without a wait two halves take turns, at twice the price.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._expected = 0
        self._patience_s = 0.0

    def expect(self, clients: int, took_s: float) -> None:
        """A batch took so long; so many were answered, or waited meanwhile."""
        self._expected = clients
        self._patience_s = min(took_s * GATHER_SHARE, GATHER_LIMIT_S)

    def gather(self, present: Callable[[], int]) -> None:
        """Return once as many are there again, or patience ends."""
        deadline = self._clock() + self._patience_s
        while present() < self._expected and self._clock() < deadline:
            self._sleep(GATHER_STEP_S)
