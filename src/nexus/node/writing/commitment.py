"""Where the writer thread waits until a quorum holds what it has logged.

The event loop hears the acknowledgements, the writer thread waits for them: between the
log's own sync and SQLite's commit (lossless: nobody can read what a quorum lacks).
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from nexus.model.position import NO_OFFSET, Offset

LEASE_POLL_S: Final = 0.01
"""How often a batch that only lacks the lease looks whether it was renewed."""


class ReignEndedError(Exception):
    """This node's reign ended while its writer waited; no client ever sees it."""


class Commitment:
    """The commit offset of one reign, from the loop to the writer thread."""

    def __init__(
        self,
        timeout_s: float,
        *,
        quorum: bool = True,
        lease: Callable[[], bool] | None = None,
    ) -> None:
        """Without `quorum` (async mode) only the lease is waited for.

        `lease` tells whether a reign that voters gave still holds; it is asked on the
        writer thread, after the sync, at the moment of each acknowledgement.
        """
        self.quorum = quorum
        """May change on the loop, while the writer has the entry that says so."""
        self._lease = lease
        self.timeout_s = timeout_s
        """After so long a client is told that its outcome is unknown yet."""
        self.acknowledged = 0
        """Transactions that a quorum held in time."""
        self.late = 0
        """Transactions whose clients were told that the outcome is unknown."""
        self._changed = threading.Condition()
        self._offset = NO_OFFSET
        self._end = ""

    @property
    def offset(self) -> Offset:
        """The last entry that the quorum is known to hold."""
        return self._offset

    def reached(self, offset: Offset) -> None:
        """A quorum holds every entry up to `offset`."""
        with self._changed:
            if offset > self._offset:
                self._offset = offset
                self._changed.notify_all()

    def end(self, reason: str) -> None:
        """No quorum will answer this reign any more; the first reason stands."""
        with self._changed:
            self._end = self._end or reason
            self._changed.notify_all()

    def wait(self, offset: Offset, timeout_s: float | None = None) -> bool:
        """Return True once the quorum holds `offset`, under a lease that stands.

        False after the timeout.

        Raises ReignEndedError after `end`, unless the offset was reached before.
        """
        deadline = float("inf")
        if timeout_s is not None:
            deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                held = not self.quorum or self._offset >= offset
                if held and (self._lease is None or self._lease()):
                    return True
                if self._end:
                    raise ReignEndedError(self._end)
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                pause_s = LEASE_POLL_S if held else threading.TIMEOUT_MAX
                self._changed.wait(min(left_s, pause_s))
