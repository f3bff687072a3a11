"""Deadlines and leases go by a clock that nobody sets."""

import time

from nexus.node.clock import now_ms


def test_the_clock_counts_milliseconds_and_never_goes_back() -> None:
    first = now_ms()
    time.sleep(0.02)
    assert 15 <= now_ms() - first < 5_000
