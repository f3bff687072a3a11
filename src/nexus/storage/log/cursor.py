"""Read the log in offset order while another thread appends to it.

A cursor never passes from one history to another: when entries that it has read, or
was about to read, are taken back, its next read raises `LogGapError`.
"""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from nexus.errors import CorruptLogError, LogGapError
from nexus.model.entry import Record
from nexus.model.position import NO_OFFSET, Offset
from nexus.storage.disk import storage_error
from nexus.storage.log.segment import Segment, frames, read_frames

RECENT_BYTES: Final = 1 << 20
RECENT_BATCHES: Final = 64
"""What was appended last stays in memory, within both bounds: nobody who keeps up
reads files for it, or checks it again."""

_by_first_offset = attrgetter("first_offset")


class LogState:
    """What the log's appender publishes for its cursors; only the appender writes.

    A cut lowers `last_offset`, then adds to `cuts`, then touches files; an append
    writes, then raises `last_offset`; retention replaces `segments`, then unlinks. A
    cursor looks at `cuts` first, reads, and looks at `cuts` again.
    """

    __slots__ = (
        "_recent_bytes", "_recent_total", "cuts", "last_offset", "recent", "segments"
    )  # fmt: skip

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments
        self.last_offset: Offset = NO_OFFSET
        self.cuts: tuple[int, ...] = ()
        """The last offset kept by every cut so far; -1 where nothing was kept."""
        self.recent: tuple[Sequence[Record], ...] = ()
        """The batches appended last, without a gap, up to `last_offset`."""
        self._recent_bytes: deque[int] = deque()
        self._recent_total = 0

    def remember(self, batch: Sequence[Record], size: int) -> None:
        """A batch of so many bytes has been appended."""
        sizes = self._recent_bytes
        sizes.append(size)
        self._recent_total += size
        dropped = 0
        while self._recent_total > RECENT_BYTES or len(sizes) > RECENT_BATCHES:
            self._recent_total -= sizes.popleft()
            dropped += 1
        self.recent = (*self.recent, batch)[dropped:]

    def forget(self) -> None:
        """Entries are taken back: the files alone tell what stands."""
        self.recent = ()
        self._recent_bytes.clear()
        self._recent_total = 0

    def remembered(self, start: int, stop: int) -> list[Record]:
        """The entries from `start` to `stop` (excluded); none if not all are there."""
        recent = self.recent
        if not recent or start < recent[0][0].offset:
            return []
        found: list[Record] = []
        for batch in recent:
            first = batch[0].offset
            if first >= stop:
                break
            if first + len(batch) > start:
                found += batch[max(0, start - first) : stop - first]
        return found

    @property
    def first_offset(self) -> Offset:
        """The oldest entry that the log holds, or the next one if it is empty."""
        return self.segments[0].first_offset

    def segment_of(self, offset: int) -> tuple[Segment, int | None]:
        """The segment that holds `offset`, and where its successor begins."""
        segments = self.segments
        index = bisect_right(segments, offset, key=_by_first_offset) - 1
        if index < 0:
            raise LogGapError(
                f"entry {offset} was asked for, but the log begins with entry "
                f"{segments[0].first_offset}; start a full sync"
            )
        following = segments[index + 1 : index + 2]
        return segments[index], following[0].first_offset if following else None


class LogCursor:
    """A place in the log; one thread uses it, any number of cursors may exist."""

    def __init__(self, state: LogState, start: Offset) -> None:
        self.offset = start
        """The entry to be read next."""
        self._state = state
        self._cuts = state.cuts
        self._segment: Segment | None = None
        self._fd = -1
        self._position = 0
        if not state.first_offset <= start <= state.last_offset + 1:
            raise LogGapError(
                f"entry {start} was asked for, but the log holds entries "
                f"{state.first_offset} to {state.last_offset}; start a full sync"
            )

    def read(self, stop: Offset, max_bytes: int) -> list[Record]:
        """The next entries before `stop`: at least one if the log holds any.

        More than one only while they take less than `max_bytes`. Raises LogGapError
        when retention dropped them or a cut took them back, CorruptLogError when
        they are damaged; the cursor stays where it was.
        """
        while True:
            self._follow_cuts()
            bound = min(stop, self._state.last_offset + 1)
            if self.offset >= bound:
                return []
            try:
                records, position = self._take(bound, max_bytes)
            except CorruptLogError:
                if not self._overtaken():
                    raise
                continue
            except OSError as error:
                if not self._overtaken():
                    doing = f"reading entry {self.offset} of the log"
                    raise storage_error(error, doing) from error
                continue
            # Bytes read during a cut may be of the entries written after it.
            if self._state.cuts is self._cuts:
                self._position = position
                self.offset = Offset(self.offset + len(records))
                return records

    def close(self) -> None:
        """Release the file; reading again opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._segment = None

    def _take(self, bound: int, max_bytes: int) -> tuple[list[Record], int]:
        """The records from here to `bound` in this segment, and where they end."""
        if max_bytes >= RECENT_BYTES and (
            found := self._state.remembered(self.offset, bound)
        ):
            self.close()  # the place in the file would be wrong from now on
            return found, 0
        segment, successor = self._seek()
        stop = bound if successor is None else min(bound, successor)
        position, salt = self._position, segment.salt
        records: list[Record] = []
        while not records:
            chunk = read_frames(self._fd, position, limit=segment.end, want=max_bytes)
            end = 0
            for length, epoch, offset, at in frames(
                chunk, salt=salt, expected=self.offset, stop=stop
            ):
                end = at + 24 + length
                if length:
                    records.append(Record(epoch, offset, chunk[at + 24 : end]))
            if end == 0:
                raise segment.corrupt(self.offset, position)
            position += end
        return records, position

    def _seek(self) -> tuple[Segment, int | None]:
        """Open the segment that holds the next entry, unless it is open."""
        segment, successor = self._state.segment_of(self.offset)
        if segment is not self._segment:
            self.close()
            self._fd = segment.open_for_reading()
            self._position = segment.position_of(self._fd, self.offset)
            self._segment = segment
        return segment, successor

    def _follow_cuts(self) -> None:
        cuts = self._state.cuts
        if cuts is self._cuts:
            return
        last_kept = min(cuts[len(self._cuts) :])
        if self.offset > last_kept + 1:
            raise LogGapError(
                f"entries before {self.offset}, which were read, have been taken back; "
                "begin again from the entries that the database holds"
            )
        self.close()
        self._cuts = cuts

    def _overtaken(self) -> bool:
        """Whether the failed read met a cut or retention, not a fault of the disk."""
        state = self._state
        return state.cuts is not self._cuts or self.offset < state.first_offset
