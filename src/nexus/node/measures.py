"""What a node counts and times for GET /metrics: plain numbers, no locks.

Each number has one thread at a time that changes it, and is read by others at any
moment: a scrape may see one batch half counted, and sees it whole the next time.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

SECONDS: Final = (
    *(0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Bounds of what takes time: from one commit on a quick disk to a client's patience."""

COUNTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Bounds of what comes in batches."""


class Histogram:
    """How many observations lie below each bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Of each bound, those between it and the one before; then those above all."""
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `times` observations of this value."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has it: each bound, and how many are not above it."""
        counts = list(self.counts)
        below, buckets = 0, []
        for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", below))
        return [(bound, float(count)) for bound, count in buckets]


class ArchiveFigures(msgspec.Struct, frozen=True):
    """How far the archive has come; its writer replaces them."""

    offset: int
    """The last entry that the archive holds."""
    last_success: float
    """When it was last written to; seconds since 1970."""
    failures: int
    bytes_sent: int


class Measures:
    """All that one node counts, from its making to its end."""

    def __init__(self) -> None:
        self.commit = Histogram(SECONDS)
        """From a transaction's arrival at the writer to its answer: of each batch the
        one that waited longest, counted once for each of the batch."""
        self.quorum_wait = Histogram(SECONDS)
        self.log_sync = Histogram(SECONDS)
        self.apply = Histogram(SECONDS)
        self.batch = Histogram(COUNTS)
        self.applied_batch = Histogram(COUNTS)
        self.transactions: Counter[str] = Counter(committed=0, refused=0, unknown=0)
        """By outcome."""
        self.statements: Counter[str] = Counter(read=0, committed=0, refused=0)
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
        self.archive: ArchiveFigures | None = None

    def answered(self, status: int) -> None:
        """An HTTP answer with this status has begun."""
        self.http[f"{status // 100}xx"] += 1
