"""The write-ahead log: segments in order, appended to at one end, dropped at the other.

    log.append(records)      # in the file, not durable
    log.sync()               # durable: may be acknowledged and sent
    log.cursor(offset)       # reads from the files, in any thread

A failed write or sync poisons the log: what reached the disk is unknown then, so every
later change raises until the process starts again and finds the valid end.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nexus.errors import DiskFullError, LogGapError, StorageError
from nexus.model.entry import Record
from nexus.model.position import NO_OFFSET, Offset
from nexus.storage.disk import storage_error, storage_errors
from nexus.storage.log import files
from nexus.storage.log.cursor import LogCursor, LogState
from nexus.storage.log.recovery import find_end
from nexus.storage.log.segment import HEADER, Segment, encode_batch
from nexus.storage.log.tail import Tail


@dataclass(frozen=True, slots=True)
class WalSettings:
    """How large the log's files are, and how much of it is kept."""

    segment_bytes: int = 64 << 20
    """Preallocated for each segment; a larger batch gets a larger file."""
    max_entries: int = 1_000_000
    """Retention keeps at least so many; a segment holds about a quarter of them."""
    index_every_bytes: int = 64 << 10
    """How far apart the places are from which a cursor looks for its start."""


class WriteAheadLog:
    """The log of one data directory; opened by one process at a time.

    Changes come from one thread at a time, reads from any.
    """

    def __init__(
        self, directory: Path, settings: WalSettings, segments: tuple[Segment, ...]
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._segment_entries = max(1, settings.max_entries // 4)
        self._state = LogState(segments)
        self._tail = Tail(segments[-1])
        self._durable = NO_OFFSET
        self._failure = ""
        self._lock = threading.Lock()
        self.torn_bytes = 0
        """Bytes of an unsynced tail that were cut when the log was opened."""

    @classmethod
    def open(
        cls, directory: Path, settings: WalSettings, *, watermark: Offset = NO_OFFSET
    ) -> "WriteAheadLog":
        """The log in `directory`, made if there is none, ready to be appended to.

        A torn tail that was never durable is cut, durably. Raises CorruptLogError if
        an entry is damaged or missing that was durable by the log's own marks or by
        `watermark`; pass 0 for that while an intent to cut or reset is pending. Only
        the last segment is checked here, the others when they are read.
        """
        size, every = settings.segment_bytes, settings.index_every_bytes
        with storage_errors(f"opening the log in {directory}"):
            segments = files.open_directory(directory, size=size, every=every)
            log = cls(directory, settings, segments)
            log._find_end(watermark)
        return log

    @property
    def first_offset(self) -> Offset:
        """The oldest entry held; `last_offset` + 1 if there is none."""
        return self._state.first_offset

    @property
    def last_offset(self) -> Offset:
        """The newest entry appended, durable or not."""
        return self._state.last_offset

    @property
    def durable_offset(self) -> Offset:
        """The newest entry that a power cut cannot take."""
        return self._durable

    @property
    def entry_count(self) -> int:
        """Entries held."""
        return self._state.last_offset - self._state.first_offset + 1

    @property
    def size_bytes(self) -> int:
        """Bytes that the log takes on the disk, preallocated ones included."""
        return sum(segment.size for segment in self._state.segments)

    @property
    def failed(self) -> bool:
        """Whether a write or sync failed: nothing can be changed any more."""
        return bool(self._failure)

    def append(self, records: Sequence[Record], *, durably: bool = False) -> None:
        """Write records that follow on `last_offset`; durable only with `durably`.

        Raises DiskFullError with nothing written if there is no room for a new
        segment; any other error, a DiskFullError in mid-write included, sets `failed`.
        """
        if not records:
            return
        with self._lock:
            self._check_usable()
            first = records[0].offset
            assert first == self._state.last_offset + 1, "the log has no gap"
            batch = self._encoded(records)
            if self._must_roll(len(batch)):
                self._make_room(len(batch))
                batch = self._encoded(records)
            alone = durably and self._durable == self._state.last_offset
            try:
                self._tail.write(batch, first, durably=alone)
            except OSError as error:
                raise self._fail(error, f"appending entry {first}") from error
            self._state.last_offset = records[-1].offset
            self._durable = records[-1].offset if alone else self._durable
            self._state.remember(records, len(batch))

    def sync(self) -> Offset:
        """Make everything appended durable; returns the durable offset.

        A failure raises StorageError and sets `failed`: what is durable is unknown.
        """
        with self._lock:
            self._check_usable()
            return self._sync()

    def cursor(self, start: Offset) -> LogCursor:
        """A cursor whose first read returns the entry at `start`.

        `start` may be the entry to be appended next. Raises LogGapError if the log
        does not hold it any more, or not yet.
        """
        return LogCursor(self._state, start)

    def truncate_after(self, last_kept: Offset) -> None:
        """Take every entry after `last_kept` out of the log, durably.

        Cursors that went further raise LogGapError. After a crash within, the log is
        a longer or the wanted part of what it was; call it again. Raises LogGapError
        if the log begins after `last_kept` + 1.
        """
        with self._lock:
            self._check_usable()
            state = self._state
            if last_kept >= state.last_offset:
                return
            if last_kept < state.first_offset - 1:
                raise LogGapError(
                    f"the log begins with entry {state.first_offset}, so it cannot be "
                    f"cut after {last_kept}; reset it"
                )
            kept, _ = state.segment_of(last_kept + 1)
            with storage_errors(f"reading {kept.path}"):
                end = kept.end_after(last_kept)
            self._publish_cut(last_kept, last_kept)
            with self._failing(f"cutting the log in {kept.path}"):
                self._cut_files(kept, last_kept, end)

    def reset(self, last_offset: Offset) -> None:
        """Empty the log, durably, so that the next entry is `last_offset` + 1.

        After a crash within, the log is as it was or as wanted.
        """
        with self._lock:
            self._check_usable()
            first = Offset(last_offset + 1)
            self._prepare(first, self._settings.segment_bytes)
            state = self._state
            self._publish_cut(-1, Offset(state.first_offset - 1))
            with self._failing(f"resetting the log in {self._directory}"):
                segment = files.publish_alone(
                    self._directory, first, every=self._settings.index_every_bytes
                )
                self._tail.move_to(segment)
            state.segments = (segment,)
            self._durable = state.last_offset = last_offset

    def retain(self, keep_from: Offset, *, keeps_newest: bool = True) -> int:
        """Drop segments that hold only what is before `keep_from`; how many entries.

        And not one of the newest `max_entries`, unless even those may go.
        """
        with self._lock:
            self._check_usable()
            state = self._state
            newest = self._settings.max_entries if keeps_newest else 0
            bound = min(keep_from, state.last_offset - newest + 1)
            segments = state.segments
            count = 0
            while segments[count + 1 :] and segments[count + 1].first_offset <= bound:
                count += 1
            if count == 0:
                return 0
            state.segments = segments[count:]
            with self._failing(f"dropping old segments of {self._directory}"):
                # Oldest first, one by one: a crash leaves no hole in the middle.
                for segment in segments[:count]:
                    files.drop(segment)
            return state.first_offset - segments[0].first_offset

    def close(self) -> None:
        """Release the files; what was not synced stays so. Cursors go on reading."""
        with self._lock:
            self._failure = self._failure or "it was closed"
            self._tail.close()

    def _find_end(self, watermark: Offset) -> None:
        tail = self._tail
        try:
            found = find_end(tail.segment, tail.fd, watermark=watermark)
        except BaseException:
            tail.close()
            raise
        last, self.torn_bytes = found
        self._durable = self._state.last_offset = last
        # Short of space, the log opens all the same: it can be read.
        with suppress(OSError):
            tail.extend(self._settings.segment_bytes)

    def _encoded(self, records: Sequence[Record]) -> bytes:
        salt = self._tail.segment.salt
        return encode_batch(records, durable=self._durable, salt=salt)

    def _must_roll(self, size: int) -> bool:
        segment = self._tail.segment
        entries = self._state.last_offset + 1 - segment.first_offset
        return segment.end + size > segment.size or entries >= self._segment_entries

    def _make_room(self, size: int) -> None:
        """This segment, if it is empty, or else the next one takes `size` bytes."""
        segment = self._tail.segment
        first = Offset(self._state.last_offset + 1)
        if segment.first_offset == first:
            with self._failing_unless_short(f"enlarging {segment.path}"):
                self._tail.extend(segment.end + size)
            return
        # Only the last segment is searched for a torn tail: the others are durable.
        self._sync()
        self._prepare(first, max(self._settings.segment_bytes, HEADER.size + size))
        with self._failing(f"beginning a segment after {segment.path}"):
            following = files.publish(
                self._directory, first, every=self._settings.index_every_bytes
            )
            self._tail.trim()
            self._tail.move_to(following)
        self._state.segments = (*self._state.segments, following)

    def _prepare(self, first: Offset, size: int) -> None:
        with self._failing_unless_short(f"making a segment in {self._directory}"):
            files.prepare(self._directory, first, size=size)

    def _sync(self) -> Offset:
        last = self._state.last_offset
        if self._durable < last:
            try:
                self._tail.sync()
            except OSError as error:
                raise self._fail(error, f"syncing entry {last}") from error
            self._durable = last
        return self._durable

    def _publish_cut(self, last_kept: int, last_shown: Offset) -> None:
        """Tell the cursors, before any file changes."""
        self._state.last_offset = last_shown
        self._state.forget()
        self._state.cuts = (*self._state.cuts, last_kept)
        self._durable = min(self._durable, last_shown)

    def _cut_files(self, kept: Segment, last_kept: Offset, end: int) -> None:
        segments = self._state.segments
        count = segments.index(kept) + 1
        self._state.segments = segments[:count]
        # Newest first: a crash leaves a longer log, never one with a hole.
        for segment in reversed(segments[count:]):
            files.drop(segment)
        if kept is not self._tail.segment:
            self._tail.move_to(kept)
        self._tail.cut(last_kept, end, size=self._settings.segment_bytes)
        self._durable = last_kept

    def _check_usable(self) -> None:
        if self._failure:
            raise StorageError(
                f"the log in {self._directory} takes no more changes: {self._failure}; "
                "restart the node"
            )

    def _fail(self, error: OSError, doing: str) -> StorageError:
        failure = storage_error(error, doing)
        self._failure = str(failure)
        return failure

    @contextmanager
    def _failing(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._fail(error, doing) from error

    @contextmanager
    def _failing_unless_short(self, doing: str) -> Iterator[None]:
        """A shortage before anything is written harms nothing that stands."""
        try:
            yield
        except OSError as error:
            if isinstance(short := storage_error(error, doing), DiskFullError):
                raise short from error
            raise self._fail(error, doing) from error
