"""What a node counts and times for GET /metrics, at next to no cost.

Each number has one thread at a time that changes it, and is read by others at any
moment: a scrape may see one batch half counted, and sees it whole the next time.
"""

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from operator import add
from typing import Final

SECONDS: Final = (
    *(0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Bounds of what takes time: from one commit on a quick disk to a client's patience."""

COUNTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Bounds of what comes in batches."""


FOLD: Final = 4_096
"""So many observations are sorted into their buckets at once: together that costs a
fraction of what it would cost one by one."""


class Histogram:
    """How many observations lie below each bound; one thread observes."""

    __slots__ = ("_counts", "_folding", "_seen", "_total", "bounds", "observe")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        """Not above each bound; then all."""
        self._total = 0.0
        self._seen: list[float] = []
        self._folding = threading.Lock()
        self.observe = self._seen.append
        """Count a value; another thread must `settle` every second or so."""

    def settle(self) -> bool:
        """Sort up to FOLD observations into their buckets; whether more are left.

        Any thread may, while another one observes: both only append and cut.
        """
        with self._folding:
            part = self._seen[:FOLD]
            self._counts, self._total = self._folded(part)
            del self._seen[: len(part)]
        return bool(self._seen)

    def cumulative(self) -> tuple[list[tuple[str, float]], float]:
        """As Prometheus has it: each bound with how many are not above it; the sum.

        Any thread may ask.
        """
        with self._folding:
            counts, total = self._folded(self._seen.copy())
        names = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]
        return list(zip(names, map(float, counts), strict=True)), total

    def _folded(self, seen: list[float]) -> tuple[list[int], float]:
        total = self._total + sum(seen)
        seen.sort()
        more = [*(bisect_right(seen, bound) for bound in self.bounds), len(seen)]
        return list(map(add, self._counts, more)), total


class Measures:
    """All that one node counts, from its making to its end."""

    def __init__(self) -> None:
        self.commit = Histogram(SECONDS)
        """Of each batch, the transaction that waited longest: from its arrival at the
        writer to its answer."""
        self.quorum_wait = Histogram(SECONDS)
        self.log_sync = Histogram(SECONDS)
        self.apply = Histogram(SECONDS)
        self.batch = Histogram(COUNTS)
        self.applied_batch = Histogram(COUNTS)
        self.committed = 0
        """Transactions; and of those that ended otherwise:"""
        self.refused = 0
        self.unknown = 0
        self.statements_committed = 0
        self.statements_refused = 0
        self.statements_read = 0
        self.elections: Counter[str] = Counter(started=0, won=0, lost=0)
        self.native_sessions = 0
        self.forwarded: Counter[str] = Counter(answered=0, unsent=0, lost=0)
        """Writes passed on to the master, by what came of it."""
        self.http: Counter[str] = Counter()
        """Answers by class of their status: `2xx`."""
        self.http_connections: Callable[[], int] = int
        self.snapshot_sent_bytes = 0
        self.certificate_expires: float | None = None
        """When this node's certificate ends, seconds since 1970; None: it has none."""
        self.revocation_list_ends: float | None = None
        """When `tls.crl_file` ends, seconds since 1970; None: it does not."""

    def settle(self) -> bool:
        """Settle some of what was observed; whether to come again at once."""
        histograms = (
            *(self.commit, self.quorum_wait, self.log_sync),
            *(self.apply, self.batch, self.applied_batch),
        )
        return any(histogram.settle() for histogram in histograms)

    def answered(self, status: int) -> None:
        """An HTTP answer with this status has begun."""
        self.http[f"{status // 100}xx"] += 1
