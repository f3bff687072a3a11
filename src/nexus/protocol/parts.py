"""Cut a large entry into WalEntry messages, and join them again.

Large payloads are compressed where that helps. What a peer sends is believed only
within bounds: neither its parts nor what they unpack to grows without a limit.
"""

from typing import Final

import zstandard

from nexus.errors import ProtocolError
from nexus.model.entry import Record
from nexus.model.position import HistoryId, Offset
from nexus.protocol.messages import WalEntry

PART_BYTES: Final = 64 << 10
"""One part of an entry: a heartbeat waits for no more than that on a slow line."""

COMPRESS_FROM: Final = 4 << 10
"""Smaller payloads are not worth the time of compressing them."""

COMPRESSION_LEVEL: Final = 1
"""The fastest: a local network is hardly slower than the compressor."""

ENTRY_BYTES: Final = 1 << 30
"""The largest payload that is joined; SQLite's own limit on a blob is near."""


def split_entry(
    record: Record,
    history_id: HistoryId,
    commit_offset: Offset,
    *,
    part_bytes: int = PART_BYTES,
    compress: bool = True,
) -> list[WalEntry]:
    """The messages that carry one entry: one, or several parts in order."""
    data, compressed = record.payload, False
    if compress and len(data) >= COMPRESS_FROM:
        packed = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(data)
        if len(packed) < len(data):
            data, compressed = packed, True
    parts = max(1, -(-len(data) // part_bytes))
    return [
        WalEntry(
            record.offset,
            record.epoch,
            history_id,
            commit_offset,
            data[part * part_bytes : (part + 1) * part_bytes],
            part,
            parts,
            compressed,
        )
        for part in range(parts)
    ]


class EntryAssembler:
    """Joins the WalEntry messages of one stream into records."""

    def __init__(self, max_entry_bytes: int = ENTRY_BYTES) -> None:
        self._limit = max_entry_bytes
        self._first: WalEntry | None = None
        # Not a list: a hostile peer's parts of one byte would cost forty times that.
        self._data = bytearray()
        self._parts = 0

    def add(self, entry: WalEntry) -> Record | None:
        """The record that this message completes, or None while parts are missing.

        Raises ProtocolError for parts that do not follow each other, for an entry
        without bytes, which no log can keep, and for one that is over the limit,
        before or after it is decompressed.
        """
        self._check(entry)
        if entry.parts == 1 and not entry.compressed:
            return Record(entry.epoch, entry.offset, entry.entry)
        self._first = self._first or entry
        self._data += entry.entry
        self._parts += 1
        if len(self._data) > self._limit:
            raise _too_large(entry, len(self._data), self._limit)
        if self._parts < entry.parts:
            return None
        data = bytes(self._data)
        self.reset()
        if entry.compressed:
            data = _decompressed(entry, data, self._limit)
        return Record(entry.epoch, entry.offset, data)

    def reset(self) -> None:
        """Forget the parts of an entry that will not be completed."""
        self._first = None
        self._data = bytearray()
        self._parts = 0

    def _check(self, entry: WalEntry) -> None:
        if not entry.entry:
            raise ProtocolError(
                f"part {entry.part} of {entry.parts} of entry {entry.offset} is empty"
            )
        if entry.parts < 1:
            raise ProtocolError(
                f"entry {entry.offset} comes in {entry.parts} parts; it has at least "
                "one"
            )
        follows = entry.part == self._parts
        if not follows or (self._first and not _are_siblings(entry, self._first)):
            raise self._misplaced(entry)

    def _misplaced(self, entry: WalEntry) -> ProtocolError:
        due = self._first or entry
        return ProtocolError(
            f"part {entry.part} of {entry.parts} of entry {entry.offset} came where "
            f"part {self._parts} of {due.parts} of entry {due.offset} was due"
        )


def _are_siblings(entry: WalEntry, first: WalEntry) -> bool:
    """Whether both are parts of one entry; the commit offset may have advanced."""
    return (
        entry.offset == first.offset
        and entry.epoch == first.epoch
        and entry.history_id == first.history_id
        and entry.parts == first.parts
        and entry.compressed == first.compressed
    )


def _decompressed(entry: WalEntry, data: bytes, limit: int) -> bytes:
    """The payload; the size that the frame declares is checked before it is made."""
    try:
        size = zstandard.frame_content_size(data)
        if size > limit:
            raise _too_large(entry, size, limit)
        if size <= 0:
            raise ProtocolError(
                f"entry {entry.offset} is compressed without saying how large it is"
            )
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ProtocolError(
            f"entry {entry.offset} cannot be decompressed: {error}"
        ) from None


def _too_large(entry: WalEntry, size: int, limit: int) -> ProtocolError:
    return ProtocolError(
        f"entry {entry.offset} takes {size} bytes or more, the limit is {limit}"
    )
