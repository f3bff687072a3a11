"""Find where the log ends after a crash, and tell a torn tail from a spoiled one.

A batch that was never synced may reach the disk in any order: its last records whole,
its first ones not. So an invalid record proves nothing by itself. It was durable if a
mark behind it, or the catalog's watermark, says so; then it is corruption. Otherwise
the log ends before it, and whatever stands behind is cut off.
"""

import os
import re
from typing import Final
from zlib import crc32

from nexus.errors import CorruptLogError
from nexus.model.position import Offset
from nexus.storage.disk import nonzero_end, sync_data
from nexus.storage.log.segment import FRAME, Segment, Walk

_MARK: Final = re.compile(rb"(?s)(?=\0{4}....(?!\0{8}).{8}\0{8})")
"""Where a mark may stand, overlapping places included; the CRC decides."""


def find_end(segment: Segment, fd: int, *, watermark: Offset) -> tuple[Offset, int]:
    """Set the end of the log's last segment, and make zeros stand behind it.

    Returns the last offset and how many bytes of a torn tail were cut. Both the end
    and the cut are durable then: a crash of the process alone leaves records that are
    whole but were never synced. Raises CorruptLogError if a record that was durable is
    not whole, and OSError.
    """
    walk = segment.walk(fd, segment.first_offset)
    torn = nonzero_end(fd, walk.end) - walk.end
    if torn and _highest_mark(segment, fd, walk, walk.end + torn) > walk.last_offset:
        raise segment.corrupt(walk.last_offset + 1, walk.stopped_at)
    if watermark > walk.last_offset:
        raise CorruptLogError(
            f"{segment.path}: the log ends with entry {walk.last_offset} at byte "
            f"{walk.stopped_at}, but entry {watermark} was durable; this node needs a "
            "full sync or a restore"
        )
    if torn:
        segment.cut(fd, walk.last_offset, walk.end)
    segment.end = walk.end
    sync_data(fd)
    return walk.last_offset, torn


def _highest_mark(segment: Segment, fd: int, walk: Walk, stop: int) -> int:
    """The highest durable offset that a mark behind the last whole record tells."""
    # A mark's own last bytes are zeros, so they may lie behind `stop`.
    tail = os.pread(fd, stop + FRAME.size - walk.end, walk.end)
    highest = 0
    for match in _MARK.finditer(tail):
        at = match.start()
        _, checksum, durable, _ = FRAME.unpack_from(tail, at)
        # Every record between takes more than a frame's bytes.
        if (
            durable <= walk.last_offset + at // FRAME.size
            and crc32(tail[at + 8 : at + 24], crc32(tail[at : at + 4], segment.salt))
            == checksum
        ):
            highest = max(highest, durable)
    return highest
