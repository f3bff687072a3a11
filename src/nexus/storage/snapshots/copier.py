"""Pack a database file into an archive, in a process of its own.

It runs beside the node because a plain close() of the database file inside the node's
process would drop SQLite's locks. So it imports nothing of Nexus, only zstandard: it is
started by its path. Nobody may change the database file meanwhile.
"""

import json
import os
import signal
import struct
import sys
import tarfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

import zstandard

DATABASE_NAME: Final = "nexus.db"
MANIFEST_NAME: Final = "manifest.json"

BLOCK_BYTES: Final = 1 << 20
WRITEBACK_BYTES: Final = 16 << 20
"""Written to the disk while packing goes on, so that the last sync is short."""

MOST_THREADS: Final = 4
JOB_BYTES: Final = 4 << 20
"""Each thread holds some of these: more of either would take more than 200 MiB."""

WINDOW_LOG: Final = 23
"""8 MiB: what a receiver must hold at least, whatever the level."""

NICENESS: Final = 10
"""Added to the node's: a ninth of what a busy process of its own niceness gets."""

# A frame that every zstd skips (RFC 8878, 3.1.2), with the CRC-32 of all before it: in
# zstd's own frames some bits of the header change nothing when they flip.
TRAILER: Final = struct.Struct("<II4sI")
TRAILER_MAGIC: Final = 0x184D2A5E
TRAILER_NAME: Final = b"NXCR"


class Packed(NamedTuple):
    """What was written: the database as it was read, and the archive."""

    size: int
    crc32: int
    archive_size: int
    archive_crc32: int


def trailer(crc32: int) -> bytes:
    """The last bytes of an archive whose other bytes have this CRC-32."""
    return TRAILER.pack(TRAILER_MAGIC, 8, TRAILER_NAME, crc32)


def pack_file(
    source: BinaryIO, archive: Path, manifest: dict[str, Any], *, size: int, level: int
) -> Packed:
    """Write the archive of a file's first `size` bytes, durable on return.

    The manifest gets `files`: the database's name, size and CRC-32. Raises OSError.
    """
    with archive.open("wb", buffering=0) as file:
        target = _Target(file.fileno())
        into = cast("BinaryIO", target)
        with _compressor(level).stream_writer(into, closefd=False) as packed:
            header = tarfile.TarInfo(DATABASE_NAME)
            header.size = size
            packed.write(_tar_header(header))
            crc32 = _copy(source, packed, size)
            entry = {"name": DATABASE_NAME, "size": size, "crc32": crc32}
            text = json.dumps({**manifest, "files": [entry]}).encode()
            header = tarfile.TarInfo(MANIFEST_NAME)
            header.size = len(text)
            packed.write(_tar_header(header))
            packed.write(text + _padding(len(text)) + bytes(2 * tarfile.BLOCKSIZE))
        target.write(trailer(target.crc32))
        os.fsync(file.fileno())
    return Packed(size, crc32, target.size, target.crc32)


def _tar_header(header: tarfile.TarInfo) -> bytes:
    # GNU: a size of more than 8 GiB needs no further member, as PAX does.
    return header.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _compressor(level: int) -> zstandard.ZstdCompressor:
    usual = zstandard.ZstdCompressionParameters.from_level(level)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=min(usual.window_log, WINDOW_LOG),
        threads=min(MOST_THREADS, os.cpu_count() or 1),
        job_size=JOB_BYTES,
        write_checksum=True,
    )
    return zstandard.ZstdCompressor(compression_params=parameters)


def _copy(source: BinaryIO, packed: Any, size: int) -> int:
    """Pass exactly `size` bytes on; their CRC-32."""
    block = bytearray(BLOCK_BYTES)
    parent, crc32, left = os.getppid(), 0, size
    while left:
        view = memoryview(block)[: min(left, BLOCK_BYTES)]
        count = source.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise OSError(f"the database file ended {left} bytes early")
        crc32 = zlib.crc32(view[:count], crc32)
        packed.write(view[:count])
        left -= count
        if os.getppid() != parent:
            raise OSError("the node that wanted the archive is gone")
    packed.write(_padding(size))
    return crc32


class _Target:
    """The archive's file: sums up what is written, and has it written back early."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._started = 0
        self.size = 0
        self.crc32 = 0

    def write(self, data: Any) -> int:
        """Write all of `data`."""
        self.crc32 = zlib.crc32(data, self.crc32)
        write_all(self._fd, data)
        self.size += len(data)
        if self.size - self._started >= WRITEBACK_BYTES and sys.platform == "linux":
            # Linux begins to write dirty pages here, and does not wait for them.
            count = self.size - self._started
            os.posix_fadvise(self._fd, self._started, count, os.POSIX_FADV_DONTNEED)
            self._started = self.size
        return len(data)


def write_all(fd: int, data: Any) -> None:
    """Write every byte; raises OSError with an unknown part of them written."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def give_way() -> None:
    """Run after who writes, and still run where the processors have no rest.

    Not in Linux's class for what may wait: beside two busy processes a core that took
    thirteen times as long, and a log goes on while its snapshot is awaited. Where a
    sandbox forbids it, it runs as who has started it.
    """
    with suppress(PermissionError):
        os.nice(NICENESS)


def main(arguments: list[str]) -> int:
    """`copier.py DATABASE SIZE ARCHIVE LEVEL`, with the manifest on stdin.

    Prints `Packed` as a JSON array and returns 0, or [errno, message] and 1.
    """
    database, size, archive, level = arguments
    give_way()
    try:
        manifest = json.load(sys.stdin)
        with Path(database).open("rb", buffering=0) as source:
            packed = pack_file(
                source, Path(archive), manifest, size=int(size), level=int(level)
            )
    except OSError as error:
        json.dump([error.errno or 0, error.strerror or str(error)], sys.stdout)
        return 1
    json.dump(packed, sys.stdout)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main(sys.argv[1:]))
