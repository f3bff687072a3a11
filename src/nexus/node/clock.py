"""The clock of deadlines and leases."""

import time


def now_ms() -> int:
    """Milliseconds on the clock that counts suspend too, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000
