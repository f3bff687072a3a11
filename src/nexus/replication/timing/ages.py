"""How long ago an entry was first known of: a node's lag in seconds.

Marks, not entries, are kept: one for each moment at which the log was seen to have
grown. A replica that has applied nothing since then lags by that mark's age.
"""

from bisect import bisect_left, bisect_right
from typing import Final

from nexus.model.position import NO_OFFSET, Offset

MARKS_MOST: Final = 4_096
"""When there are more, every other one goes, and new ones are set half as often."""


class EntryAges:
    """When the log was first seen to reach which offset."""

    def __init__(self) -> None:
        self._offsets: list[Offset] = []
        self._times_ms: list[int] = []
        self._spacing_ms = 1

    def note(self, offset: Offset, now_ms: int) -> None:
        """The log reaches `offset`; nothing new if it was known to."""
        offsets = self._offsets
        if offsets and offset <= offsets[-1]:
            return
        if offsets and now_ms - self._times_ms[-1] < self._spacing_ms:
            offsets[-1] = offset
            return
        offsets.append(offset)
        self._times_ms.append(now_ms)
        if len(offsets) > MARKS_MOST:
            del offsets[::2]
            del self._times_ms[::2]
            self._spacing_ms *= 2

    def age_ms(self, applied: Offset, now_ms: int) -> int:
        """The age of the oldest known entry after `applied`; 0 if there is none."""
        index = bisect_right(self._offsets, applied)
        if index == len(self._offsets):
            return 0
        return max(0, now_ms - self._times_ms[index])

    def known_at(self, time_ms: int) -> Offset:
        """How far the log was known to reach at that time; 0: nothing is known."""
        index = bisect_right(self._times_ms, time_ms)
        return self._offsets[index - 1] if index else NO_OFFSET

    def forget_through(self, applied: Offset) -> None:
        """Every node of interest has applied this: drop the marks up to there."""
        index = bisect_right(self._offsets, applied)
        # The newest stays, so that a known offset is not taken for a new one.
        index = min(index, len(self._offsets) - 1)
        if index > 0:
            del self._offsets[:index]
            del self._times_ms[:index]
        if len(self._offsets) == 1:
            self._spacing_ms = 1

    def forget_after(self, end: Offset) -> None:
        """The log ends at `end`: what was known of entries after it is void."""
        index = bisect_left(self._offsets, end)
        if index < len(self._offsets):
            self._offsets[index] = end
            del self._offsets[index + 1 :]
            del self._times_ms[index + 1 :]
