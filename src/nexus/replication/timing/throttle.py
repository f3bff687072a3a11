"""How long to wait so that no more than a rate is used: a token bucket."""

from typing import Final

BURST_S: Final = 0.25
"""What was not used for so long may be used at once; more is lost."""


class Throttle:
    """Counts bytes; what is taken in advance is waited for afterwards."""

    def __init__(self, bytes_per_s: int) -> None:
        self._rate = bytes_per_s
        self._burst = bytes_per_s * BURST_S
        self._free = self._burst
        self._at_ms: int | None = None

    def take(self, size: int, now_ms: int) -> int:
        """So many bytes were used; the milliseconds to wait before the next."""
        since_ms = 0 if self._at_ms is None else max(0, now_ms - self._at_ms)
        self._at_ms = now_ms
        refilled = self._free + self._rate * since_ms / 1_000
        self._free = min(self._burst, refilled) - size
        if self._free >= 0:
            return 0
        return int(-self._free * 1_000 // self._rate) + 1
