"""A delayed replica's window: which of the entries it holds are old enough to apply.

How old an entry is when it comes, the master's clock tells; from then on this node
counts by its own, which never jumps. So no clock that is set, and no other master's,
lets through early what has come already, and nothing waits longer than the delay.
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

    __slots__ = (
        "arrived_ms",
        "due_ms",
        "first_arrived_ms",
        "first_stamp_ms",
        "last",
        "stamp_ms",
    )

    def __init__(
        self, last: Offset, stamp_ms: int, arrived_ms: int, due_ms: int | None
    ) -> None:
        self.last = last
        self.due_ms = due_ms
        """When it is old enough; None: no master's clock was known since it came."""
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
        self._lacks_dates = False
        """Whether a mark may be without its `due_ms`."""
        self._ripe = NO_OFFSET
        self._released = NO_OFFSET

    def note(self, offset: Offset, stamp_us: int, now_ms: int = NOT_YET) -> None:
        """An entry is here, written at `stamp_us`; from before the start without now.

        Such a one counts as arrived when `ripe` is first asked.
        """
        stamp_ms = stamp_us // 1_000
        newest = self._marks[-1] if self._marks else None
        due_ms = self._due(stamp_ms, now_ms)
        if newest is None or not self._joins(newest, stamp_ms, now_ms):
            self._marks.append(_Mark(offset, stamp_ms, now_ms, due_ms))
        else:
            newest.last, newest.arrived_ms = offset, now_ms
            newest.stamp_ms = max(newest.stamp_ms, stamp_ms)
            both = due_ms is not None and newest.due_ms is not None
            newest.due_ms = max(newest.due_ms or 0, due_ms or 0) if both else None
        self._lacks_dates = self._lacks_dates or self._marks[-1].due_ms is None

    def _due(self, stamp_ms: int, arrived_ms: int) -> int | None:
        """When an entry is old enough, as far as that is known now."""
        if self.ahead_ms is None or arrived_ms == NOT_YET:
            return None
        age_ms = max(0, arrived_ms + self.ahead_ms - stamp_ms)
        return arrived_ms + self.delay_ms - age_ms

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
        if self.ahead_ms is None or not self._lacks_dates:
            return
        self._lacks_dates = False
        for mark in self._marks:
            if mark.due_ms is None:
                self._comes(mark, now_ms)
                mark.due_ms = self._due(mark.stamp_ms, mark.arrived_ms)

    def _comes(self, mark: _Mark, now_ms: int) -> None:
        """What was here at the start counts as come now."""
        if mark.arrived_ms == NOT_YET:
            mark.arrived_ms = mark.first_arrived_ms = now_ms

    def ripe(self, end: Offset, now_ms: int) -> Offset:
        """The last entry, up to `end`, that is old enough, or was released."""
        if not self.delay_ms:
            return end
        marks = self._marks
        while marks:
            mark = marks[0]
            self._comes(mark, now_ms)
            if not self._is_ripe(mark, now_ms):
                break
            self._ripe = mark.last
            marks.popleft()
        return min(end, max(self._ripe, self._released))

    def _is_ripe(self, mark: _Mark, now_ms: int) -> bool:
        latest_ms = mark.arrived_ms + self.delay_ms
        return now_ms >= (latest_ms if mark.due_ms is None else mark.due_ms)

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
