"""The end of the log: the one file that is written to, and how it is written.

Everything here raises OSError as it comes; the log decides what that means.
"""

import os
from contextlib import suppress
from typing import Final

from nexus.storage.disk import sync_data, write_at, write_durably
from nexus.storage.log.segment import Segment

_ZERO_AHEAD: Final = 1 << 20
"""Zeros written behind a batch when its space is first used.

Preallocated blocks that were never written cost a journal commit at every sync: 2,100
syncs a second against 4,300 on ext4.
"""


class Tail:
    """The last segment, open for writing; one thread at a time uses it."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.fd = segment.open_for_writing()
        self._zeroed = 0

    def write(self, batch: bytes, first_offset: int, *, durably: bool) -> None:
        """Put a batch that begins with `first_offset` at the segment's end."""
        segment = self.segment
        end = segment.end + len(batch)
        if end > self._zeroed:
            self._zeroed = min(segment.size, end + _ZERO_AHEAD)
            batch += bytes(self._zeroed - end)
        write = write_durably if durably else write_at
        write(self.fd, batch, segment.end)
        segment.grown(first_offset, end)

    def sync(self) -> None:
        """Make everything written durable."""
        sync_data(self.fd)

    def extend(self, size: int) -> None:
        """Room for `size` bytes; a shortage leaves the segment as it is."""
        self.segment.extend(self.fd, size)

    def move_to(self, segment: Segment) -> None:
        """Write to `segment` from now on."""
        fd = segment.open_for_writing()
        self.close()
        self.segment, self.fd, self._zeroed = segment, fd, 0

    def trim(self) -> None:
        """Give back the room that the segment does not need; a mere economy."""
        with suppress(OSError):
            self.segment.trim(self.fd)

    def cut(self, last_kept: int, end: int, *, size: int) -> None:
        """Zeros stand from `end` on, durably, with room again for `size` bytes."""
        self.segment.cut(self.fd, last_kept, end)
        self._zeroed = 0
        with suppress(OSError):
            self.segment.extend(self.fd, size)

    def close(self) -> None:
        """Release the file; again is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
