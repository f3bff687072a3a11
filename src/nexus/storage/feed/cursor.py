"""One consumer's place in the change feed, read from the log at the consumer's pace."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from nexus.model.change import Change, Place
from nexus.model.entry import Record
from nexus.model.position import Offset
from nexus.storage.feed.reader import EntryReader
from nexus.storage.log.cursor import RECENT_BYTES
from nexus.storage.wal import WriteAheadLog

READ_BYTES: Final = RECENT_BYTES
"""Entries held at once; so many that who keeps up reads them from memory."""

PIECE_BYTES: Final = 256 << 10
"""Written changes held at once; a single one may be larger."""


class FeedCursor:
    """Reads on from a place; blocks, and one thread at a time uses it.

    Between two reads it holds some entries and no file: retention goes its way.
    """

    def __init__(self, log: WriteAheadLog, reader: EntryReader, place: Place) -> None:
        """Raises LogGapError if the log does not hold the entry to be read next."""
        self.at = str(place)
        """Behind what was read last."""
        self._reader = reader
        self._cursor = log.cursor(place.next_offset)
        self._from_index = place.next_index
        self._records: deque[Record] = deque()
        self._record: Record | None = None
        """The entry within which it stands."""
        self._changes: Iterator[Change] = iter(())

    @property
    def next_offset(self) -> Offset:
        """The entry that is read next, or that is read on."""
        held = len(self._records) + (self._record is not None)
        return Offset(self._cursor.offset - held)

    def read(
        self, stop: Offset, write: Callable[[Change], bytes], most: int
    ) -> tuple[bytes, int]:
        """The next changes before entry `stop`, written, and how many: `most` at most.

        None while entries are passed over that show nothing. Raises LogGapError when
        retention was faster, or what was read has been taken back.
        """
        piece, count, may_fill = bytearray(), 0, True
        while len(piece) < PIECE_BYTES and count < most:
            change = next(self._changes, None)
            if change is not None:
                piece += write(change)
                count += 1
                self.at = change.id
            elif self._record is not None:
                self.at = str(self._reader.place(self._record))
                self._record = None
            elif self._records and self._records[0].offset < stop:
                self._record = self._records.popleft()
                self._changes = self._reader.changes(self._record, self._from_index)
                self._from_index = 0
            elif may_fill and not self._records:
                self._fill(stop)
                may_fill = False
            else:
                break
        return bytes(piece), count

    def _fill(self, stop: Offset) -> None:
        try:
            self._records.extend(self._cursor.read(stop, READ_BYTES))
        finally:
            self._cursor.close()
