"""One log file: its format, its place in the log, and how it is made and cut.

    file     header, then batches, then zeros up to the preallocated size
    header   "NEXUSWAL", version:4, salt:4, first_offset:8, 0:4, crc32:4
    batch    one mark, then records
    record   length:4, crc32:4, epoch:8, offset:8, payload (length bytes)
    mark     length 0, crc32:4, durable_offset:8, 0:8

All numbers are little-endian. A record's or mark's CRC starts from the file's salt
and runs over all but itself. The salt is random: bytes of another log, stored by
somebody as a row, are never taken for a record of this one. A mark tells which offset
was durable when the batch was written, so an invalid record at or below it was not
torn by a power cut but spoiled afterwards.
"""

import os
import struct
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from nexus.errors import CorruptLogError, StorageError
from nexus.model.entry import Record
from nexus.model.position import Epoch, Offset
from nexus.storage.disk import reserve, sync_file, write_at

MAGIC: Final = b"NEXUSWAL"
VERSION: Final = 1
HEADER: Final = struct.Struct("<8sIIQII")
FRAME: Final = struct.Struct("<IIQQ")
_PLACE: Final = struct.Struct("<IQQ")
_FILE_MODE: Final = 0o600
_ENDLESS: Final = 1 << 64


class Walk(NamedTuple):
    """How far the records of a segment are whole and in order."""

    last_offset: Offset
    end: int
    """The byte behind the last whole record."""
    stopped_at: int
    """The byte at which no whole frame stands; behind `end` when a mark is there."""


def encode_batch(records: Sequence[Record], *, durable: Offset, salt: int) -> bytes:
    """A mark and `records`, whose offsets grow by one, as they stand in the file."""
    parts = [
        FRAME.pack(0, crc32(_PLACE.pack(0, durable, 0), salt), durable, 0),
    ]
    add, place, frame = parts.append, _PLACE.pack, FRAME.pack
    expected = records[0].offset
    for record in records:
        payload, epoch, offset = record.payload, record.epoch, record.offset
        length = len(payload)
        assert length > 0, "a record without payload would read as a mark"
        assert offset == expected, "a batch's offsets have no gap"
        checksum = crc32(payload, crc32(place(length, epoch, offset), salt))
        add(frame(length, checksum, epoch, offset))
        add(payload)
        expected = Offset(offset + 1)
    return b"".join(parts)


def frames(
    buffer: bytes, *, salt: int, expected: int, stop: int = _ENDLESS
) -> Iterator[tuple[int, Epoch, Offset, int]]:
    """(length, epoch, offset, position) of each frame from the buffer's start on.

    Ends before the first frame that is cut off, invalid or no record of the next
    offset, the first of which is `expected`; also before the record at `stop`. A
    frame of length 0 is a mark; its epoch is the durable offset.
    """
    view, unpack, size, position = memoryview(buffer), FRAME.unpack_from, len(buffer), 0
    while position + 24 <= size and expected < stop:
        length, checksum, epoch, offset = unpack(buffer, position)
        end = position + 24 + length
        if end > size or offset != (expected if length else 0):
            return
        seed = crc32(view[position : position + 4], salt)
        if crc32(view[position + 8 : end], seed) != checksum:
            return
        yield length, epoch, offset, position
        if length:
            expected += 1
        position = end


def read_frames(fd: int, position: int, *, limit: int, want: int) -> bytes:
    """About `want` bytes from `position`; more if the first frame needs more.

    Nothing from `limit` on is read, however long a spoiled frame claims to be.
    """
    room = max(0, limit - position)
    buffer = os.pread(fd, min(max(want, FRAME.size), room), position)
    if len(buffer) >= FRAME.size:
        needed = FRAME.size + int.from_bytes(buffer[:4], "little")
        if len(buffer) < needed <= room:
            return os.pread(fd, needed, position)
    return buffer


class Segment:
    """What is known of one log file; the file itself is opened by who needs it.

    The log's appender changes it, cursors read it meanwhile: `end` grows before the
    log's last offset does, so whoever saw the offset finds the bytes.
    """

    __slots__ = (
        "_index", "_index_every", "_lock", "end", "first_offset", "path", "salt", "size"
    )  # fmt: skip

    def __init__(
        self, path: Path, first_offset: Offset, *, salt: int, size: int, every: int
    ) -> None:
        self.path = path
        self.first_offset = first_offset
        self.salt = salt
        self.size = size
        """Bytes that the file takes, preallocated ones included."""
        self.end = size
        """No record stands at or behind this byte."""
        self._index = [(int(first_offset), HEADER.size)]
        self._index_every = every
        self._lock = threading.Lock()

    @staticmethod
    def create(path: Path, first_offset: Offset, *, size: int) -> None:
        """Make an empty segment's file, synced; an OSError leaves no file behind."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
        try:
            reserve(fd, size)
            write_at(fd, _encode_header(first_offset, _new_salt()), 0)
            sync_file(fd)
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(fd)

    @classmethod
    def load(cls, path: Path, *, every: int) -> "Segment":
        """Read the header; raises CorruptLogError if it isn't this file's own."""
        with path.open("rb") as file:
            header = file.read(HEADER.size)
            size = os.fstat(file.fileno()).st_size
        if len(header) < HEADER.size:
            raise CorruptLogError(f"{path}: the file header is cut off at byte {size}")
        magic, version, salt, first_offset, _, checksum = HEADER.unpack(header)
        if magic != MAGIC or crc32(header[:-4]) != checksum:
            raise CorruptLogError(f"{path}: the file header at byte 0 is damaged")
        if version != VERSION:
            # No CorruptLogError: a replica would set the log aside and begin anew.
            raise StorageError(
                f"{path}: log format {version} at byte 8, this Nexus reads {VERSION}; "
                "start the Nexus that wrote it, or give this node an empty data "
                "directory, which a master of its cluster fills"
            )
        if path.name.partition(".")[0] != f"{first_offset:020d}":
            raise CorruptLogError(
                f"{path}: the header says at byte 16 that the file begins with entry "
                f"{first_offset}; was it renamed?"
            )
        return cls(path, Offset(first_offset), salt=salt, size=size, every=every)

    def open_for_writing(self) -> int:
        """A file descriptor for the log's appender, which closes it."""
        return os.open(self.path, os.O_RDWR)

    def open_for_reading(self) -> int:
        """A file descriptor of the caller's own; it outlives the file's name."""
        return os.open(self.path, os.O_RDONLY)

    def grown(self, offset: int, end: int) -> None:
        """A batch that begins with `offset` was written from `self.end` to `end`."""
        self._note(self._index, offset, self.end)
        self.end = end

    def walk(self, fd: int, offset: int, stop: int = _ENDLESS) -> Walk:
        """Check the records from before `offset` until the one before `stop`.

        The result's `last_offset` is `stop - 1`, or less if a record on the way is
        not whole; then `stopped_at` is where it should stand.
        """
        index = self._index
        expected, position = index[bisect_right(index, (offset, self.size)) - 1]
        end, progress = position, True
        while expected < stop and progress:
            if position == end:
                self._note(index, expected, end)
            chunk = read_frames(
                fd, position, limit=self.end, want=max(self._index_every, FRAME.size)
            )
            start, progress = position, False
            for length, _, _, at in frames(
                chunk, salt=self.salt, expected=expected, stop=stop
            ):
                position = start + at + FRAME.size + length
                progress = True
                if length:
                    expected += 1
                    end = position
        return Walk(Offset(expected - 1), end, position)

    def position_of(self, fd: int, offset: int) -> int:
        """Where the record at `offset`, or the mark before it, stands.

        With the last record's offset plus one: where the next batch goes. Raises
        CorruptLogError if a record on the way is not whole.
        """
        walk = self.walk(fd, offset, offset)
        if walk.last_offset != offset - 1:
            raise self.corrupt(walk.last_offset + 1, walk.stopped_at)
        return walk.end

    def end_after(self, last_kept: int) -> int:
        """Where the record at `last_kept` ends; like `position_of`."""
        fd = self.open_for_reading()
        try:
            return self.position_of(fd, last_kept + 1)
        finally:
            os.close(fd)

    def cut(self, fd: int, last_kept: int, end: int) -> None:
        """Only zeros stand from `end` on, durably, after a crash in here as well.

        The file shrinks first: that is one step for the file system, where zeros
        written over the old records could reach the disk in any order and leave a
        hole before a mark. Raises OSError.
        """
        os.ftruncate(fd, end)
        sync_file(fd)
        self.end = end
        self._index = [entry for entry in self._index if entry[0] <= last_kept + 1]
        self.size = end

    def extend(self, fd: int, size: int) -> None:
        """Room on the disk for `size` bytes; raises OSError, and nothing is lost."""
        if size > self.size:
            reserve(fd, size)
            sync_file(fd)
            self.size = os.fstat(fd).st_size

    def trim(self, fd: int) -> None:
        """Give the unused room back once nothing more is appended."""
        os.ftruncate(fd, self.end)
        self.size = self.end

    def corrupt(self, offset: int, position: int) -> CorruptLogError:
        """The error for a record that was written whole and is not any more."""
        return CorruptLogError(
            f"{self.path}: entry {offset}, expected at byte {position}, is damaged or "
            "missing though it was durable; this node needs a full sync or a restore"
        )

    def _note(self, index: list[tuple[int, int]], offset: int, position: int) -> None:
        # A cut replaces the index, so a walk begun before it notes into the old one.
        with self._lock:
            if position - index[-1][1] >= self._index_every:
                index.append((offset, position))


def _encode_header(first_offset: int, salt: int) -> bytes:
    header = HEADER.pack(MAGIC, VERSION, salt, first_offset, 0, 0)[:-4]
    return header + crc32(header).to_bytes(4, "little")


def _new_salt() -> int:
    """Random, but never one under which zeros are a valid mark: they end the log."""
    while True:
        salt = int.from_bytes(os.urandom(4), "little")
        if crc32(bytes(_PLACE.size), salt) != 0:
            return salt
