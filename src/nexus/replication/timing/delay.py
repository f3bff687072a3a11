"""A delayed replica's window: which of the entries it holds are old enough to apply.

An entry is, once the master's clock shows that much more than when it was written, or
once it has been here for so long. The first needs no clock of this node's; the second
ends every wait, whatever the masters' clocks say, and needs none of a master's.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from nexus.model.entry import Record, written_us
from nexus.model.position import NO_OFFSET, Offset

FEATURE: Final = "delay="
"""In Hello's features, with milliseconds: this node applies on purpose so late."""

MARKS_MOST: Final = 16_384
"""When there are more, what comes is counted with the newest: it waits longer."""

LATE_MS: Final = 2_000
"""A tick, and what a busy machine adds: no lag worth telling of."""

NOT_YET: Final = -1


def delay_features(delay_ms: int) -> tuple[str, ...]:
    """What a node that is so much delayed says of itself."""
    return (f"{FEATURE}{delay_ms}",) if delay_ms else ()


def delay_of(features: Iterable[str]) -> int:
    """By how many milliseconds a node with these features is delayed; 0: not."""
    for feature in features:
        value = feature.removeprefix(FEATURE)
        if value != feature and value.isascii() and value.isdecimal():
            return int(value[:18])
    return 0


def wanted_ms(delay_ms: int) -> int:
    """How old an entry may become before it counts as lag."""
    return delay_ms + LATE_MS + delay_ms // 1_000 if delay_ms else 0


class _Mark:
    """Neighbouring entries, all as old as the youngest of them."""

    __slots__ = ("arrived_ms", "first_arrived_ms", "first_stamp_ms", "last", "stamp_ms")

    def __init__(self, last: Offset, stamp_ms: int, arrived_ms: int) -> None:
        self.last = last
        self.stamp_ms = self.first_stamp_ms = stamp_ms
        self.arrived_ms = self.first_arrived_ms = arrived_ms


class Delay:
    """What waits, oldest first; holds nothing back where the delay is 0."""

    def __init__(self, delay_ms: int) -> None:
        self.delay_ms = delay_ms
        self._spacing_ms = max(1, delay_ms // 1_000)
        self._marks: deque[_Mark] = deque()
        self.ahead_ms: int | None = None
        """What the master's clock shows more than this node's; None: nobody said."""
        self._ripe = NO_OFFSET
        self._released = NO_OFFSET

    def note(self, offset: Offset, stamp_us: int, now_ms: int = NOT_YET) -> None:
        """An entry is here, written at `stamp_us`; from before the start without now.

        Such a one counts as arrived when `ripe` is first asked.
        """
        stamp_ms = stamp_us // 1_000
        newest = self._marks[-1] if self._marks else None
        if newest is None or not self._joins(newest, stamp_ms, now_ms):
            self._marks.append(_Mark(offset, stamp_ms, now_ms))
            return
        newest.last, newest.arrived_ms = offset, now_ms
        newest.stamp_ms = max(newest.stamp_ms, stamp_ms)

    def _joins(self, newest: _Mark, stamp_ms: int, now_ms: int) -> bool:
        """Whether an entry is counted with the newest mark."""
        if len(self._marks) >= MARKS_MOST:
            return True
        near = abs(stamp_ms - newest.first_stamp_ms) < self._spacing_ms
        waits = NOT_YET in {newest.arrived_ms, now_ms}
        soon = now_ms - newest.first_arrived_ms < self._spacing_ms
        return near and (soon if not waits else newest.arrived_ms == now_ms)

    def received(self, records: Iterable[Record], now_ms: int) -> None:
        """These entries have arrived."""
        if self.delay_ms:
            for record in records:
                self.note(record.offset, written_us(record.payload), now_ms)

    def told(self, clock_us: int, now_ms: int) -> None:
        """The master's clock shows this; 0: it is one that does not say."""
        self.ahead_ms = clock_us // 1_000 - now_ms if clock_us else None

    def ripe(self, end: Offset, now_ms: int) -> Offset:
        """The last entry, up to `end`, that is old enough, or was released."""
        if not self.delay_ms:
            return end
        marks = self._marks
        while marks:
            mark = marks[0]
            if mark.arrived_ms == NOT_YET:
                mark.arrived_ms = mark.first_arrived_ms = now_ms
            if not self._is_ripe(mark, now_ms):
                break
            self._ripe = mark.last
            marks.popleft()
        return min(end, max(self._ripe, self._released))

    def _is_ripe(self, mark: _Mark, now_ms: int) -> bool:
        if now_ms - mark.arrived_ms >= self.delay_ms:
            return True
        ahead_ms = self.ahead_ms
        if ahead_ms is None:
            return False
        return now_ms + ahead_ms - mark.stamp_ms >= self.delay_ms

    def release(self, through: Offset) -> None:
        """An operator wants everything up to this entry applied now."""
        self._released = max(self._released, through)

    def ends_at(self, end: Offset) -> None:
        """The log ends here: what was known of entries after it is void."""
        while self._marks and self._marks[-1].last > end:
            newest = self._marks.pop()
            before = self._marks[-1].last if self._marks else self._ripe
            if before < end:
                newest.last = end
                self._marks.append(newest)
        self._ripe = min(self._ripe, end)
        self._released = min(self._released, end)

    def replaced(self, end: Offset) -> None:
        """A snapshot stands in the database: nothing up to `end` waits any more."""
        self._marks.clear()
        self._ripe = end
        self._released = NO_OFFSET
