"""Read a node's log from an entry on, up to where it ends."""

from collections.abc import Generator
from contextlib import closing
from typing import Final

from nexus.model.entry import Record
from nexus.model.position import Offset
from nexus.storage.wal import WriteAheadLog

READ_BYTES: Final = 1 << 20
"""Of entries that are in memory at once."""


def records_from(log: WriteAheadLog, start: Offset) -> Generator[Record, None, None]:
    """The log's entries from `start` on, those appended meanwhile too; none is none.

    Blocks. Raises StorageError, LogGapError where the log begins behind `start`.
    """
    if start > log.last_offset:
        return
    with closing(log.cursor(start)) as cursor:
        while cursor.offset <= log.last_offset:
            yield from cursor.read(Offset(log.last_offset + 1), READ_BYTES)
