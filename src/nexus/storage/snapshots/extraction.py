"""Unpack an archive as its bytes arrive, in bounded memory and with no trust in them.

The archive's own names are compared, never used: everything lands in one file that the
caller names.
"""

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec
import zstandard

from nexus.errors import SnapshotError
from nexus.storage.snapshots.copier import (
    BLOCK_BYTES,
    DATABASE_NAME,
    MANIFEST_NAME,
    TRAILER,
    trailer,
    write_all,
)

MANIFEST_BYTES: Final = 1 << 20
END_BYTES: Final = 1 << 20
"""Zeros behind the last member, at most; tar rounds an archive up with them."""

WINDOW_BYTES: Final = 32 << 20
"""What an archive may ask of a receiver's memory; ours ask for 8 MiB."""

_LIMITED: Final = " (snapshot.max_size, or --max-size)"
_DAMAGED: Final = "it is damaged or no snapshot; make or fetch a new one"


class FileManifest(msgspec.Struct, frozen=True):
    """One file in an archive: as the manifest declares it, or as it was found."""

    name: str
    size: int
    crc32: int


class Extractor:
    """Takes an archive in pieces, and writes the database's bytes to `path` at once.

    Nothing is synced. Memory: one window and a few blocks, whatever the archive
    declares.
    """

    def __init__(self, path: Path, *, max_size: int) -> None:
        self._members = _Members(path, max_size)
        self._zstd = zstandard.ZstdDecompressor(
            max_window_size=WINDOW_BYTES
        ).stream_writer(
            cast("BinaryIO", self._members), write_size=BLOCK_BYTES, closefd=False
        )
        self._tail = b""
        self._crc32 = 0

    @property
    def archive_crc32(self) -> int:
        """CRC-32 of every byte so far."""
        return zlib.crc32(self._tail, self._crc32)

    def feed(self, data: bytes) -> None:
        """The archive's next bytes; raises SnapshotError for what may not be there."""
        # The last bytes so far are held back: they may be the archive's CRC-32.
        if len(data) < TRAILER.size:
            data, self._tail = self._tail + data, b""
        self._unpack(self._tail)
        self._unpack(memoryview(data)[: -TRAILER.size])
        self._tail = data[-TRAILER.size :]

    def finish(self) -> tuple[FileManifest, bytes]:
        """The database's facts and the manifest's text; both came whole.

        Raises SnapshotError if the archive ended early or its CRC-32 is another.
        """
        if self._tail != trailer(self._crc32):
            raise SnapshotError(
                f"the archive ends early, or its CRC-32 is not {self._crc32:08x}: "
                f"{_DAMAGED}"
            )
        self.close()
        return self._members.finish()

    def close(self) -> None:
        """Close the file, in whatever state; harmless when closed."""
        self._members.close()

    def _unpack(self, data: bytes | memoryview) -> None:
        self._crc32 = zlib.crc32(data, self._crc32)
        try:
            self._zstd.write(data)
        except zstandard.ZstdError as error:
            raise SnapshotError(f"the archive: {error}: {_DAMAGED}") from error


class _Members:
    """Reads the tar that comes out of zstd; each step takes what it can of a piece."""

    def __init__(self, path: Path, max_size: int) -> None:
        self._file = path.open("wb", buffering=0)
        self._max_size = max_size
        self._step: Callable[[memoryview], int] = self._take_header
        self._header = bytearray()
        self._size = 0
        self._left = 0
        self._padding = 0
        self._database: FileManifest | None = None
        self._crc32 = 0
        self._manifest: bytearray | None = None
        self._is_whole = False
        self._end_left = END_BYTES

    def write(self, data: bytes) -> int:
        """More of the tar; raises SnapshotError for what may not be there."""
        view = memoryview(data)
        while view:
            view = view[self._step(view) :]
        return len(data)

    def finish(self) -> tuple[FileManifest, bytes]:
        """What was found; raises SnapshotError if that is not all."""
        if not self._is_whole or self._database is None or self._manifest is None:
            raise SnapshotError(f"the archive ends early: {_DAMAGED}")
        return self._database, bytes(self._manifest)

    def close(self) -> None:
        self._file.close()

    def _take_header(self, view: memoryview) -> int:
        count = min(tarfile.BLOCKSIZE - len(self._header), len(view))
        self._header += view[:count]
        if len(self._header) < tarfile.BLOCKSIZE:
            return count
        header, self._header = bytes(self._header), bytearray()
        if self._manifest is not None and not any(header):
            self._is_whole = True
            self._step = self._take_end
        else:
            self._begin(_parsed(header))
        return count

    def _begin(self, member: tarfile.TarInfo) -> None:
        """Accept the one member that may stand here, and no other."""
        if self._database is None:
            expected, limit, setting = DATABASE_NAME, self._max_size, _LIMITED
            self._step = self._take_database
        else:
            expected, limit, setting = MANIFEST_NAME, MANIFEST_BYTES, ""
            self._step = self._take_manifest
        if self._manifest is not None:
            raise SnapshotError(
                f"the archive holds {member.name!r} where nothing more may stand; do "
                "not trust where it came from"
            )
        if member.name != expected or member.type != tarfile.REGTYPE:
            raise SnapshotError(
                f"the archive holds {member.name!r} of type {member.type!r} where only "
                f"a regular file {expected!r} may stand; do not trust where it came "
                "from"
            )
        if not 0 < member.size <= limit:
            raise SnapshotError(
                f"{expected} takes {member.size} bytes, the limit is {limit}{setting}"
            )
        self._left = member.size
        self._padding = -member.size % tarfile.BLOCKSIZE
        if self._database is None:
            self._size = member.size
        else:
            self._manifest = bytearray()

    def _take_database(self, view: memoryview) -> int:
        piece = view[: self._left]
        self._crc32 = zlib.crc32(piece, self._crc32)
        write_all(self._file.fileno(), piece)
        self._left -= len(piece)
        if not self._left:
            self._database = FileManifest(DATABASE_NAME, self._size, self._crc32)
            self._step = self._take_padding
        return len(piece)

    def _take_manifest(self, view: memoryview) -> int:
        assert self._manifest is not None, "its header came before"
        piece = view[: self._left]
        self._manifest += piece
        self._left -= len(piece)
        if not self._left:
            self._step = self._take_padding
        return len(piece)

    def _take_padding(self, view: memoryview) -> int:
        count = min(self._padding, len(view))
        self._padding -= count
        if not self._padding:
            self._step = self._take_header
        return count

    def _take_end(self, view: memoryview) -> int:
        self._end_left -= len(view)
        if self._end_left < 0 or any(view):
            raise SnapshotError(
                "the archive goes on behind its last member; do not trust where it "
                "came from"
            )
        return len(view)


def _parsed(header: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise SnapshotError(f"the archive's tar: {error}: {_DAMAGED}") from error
