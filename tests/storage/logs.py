"""Records, spoiled files and full disks for the tests of the log."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nexus.model.entry import Record
from nexus.model.position import Epoch, Offset
from nexus.storage.log.segment import Segment
from nexus.storage.wal import WalSettings, WriteAheadLog

SMALL = WalSettings(segment_bytes=4096, max_entries=40, index_every_bytes=256)
ROOMY = WalSettings(segment_bytes=1 << 20, max_entries=1_000_000)


def record(offset: int, size: int = 20, epoch: int = 3) -> Record:
    """An entry whose bytes are its own."""
    seed = b"%d/%d;" % (epoch, offset)
    return Record(Epoch(epoch), Offset(offset), (seed * (size // len(seed) + 1))[:size])


def batch(first: int, count: int, size: int = 20, epoch: int = 3) -> list[Record]:
    """Entries that follow each other."""
    return [record(first + index, size, epoch) for index in range(count)]


def all_of(log: WriteAheadLog) -> list[Record]:
    """Everything that the log holds, through a cursor."""
    cursor, found = log.cursor(log.first_offset), []
    while records := cursor.read(Offset(log.last_offset + 1), 512):
        found += records
    cursor.close()
    return found


def only_file(directory: Path) -> Path:
    """The log's one segment."""
    (path,) = directory.glob("*.wal")
    return path


def newest_file(directory: Path) -> Path:
    """The log's last segment."""
    return max(directory.glob("*.wal"))


def record_starts(path: Path, last: int) -> dict[int, int]:
    """The byte at which each record of a whole segment stands; `last` + 1: the end."""
    first = int(path.stem)
    with path.open("rb") as file:
        data = file.read()
    ends = {
        offset: Segment.load(path, every=1 << 30).end_after(offset)
        for offset in range(first, last + 1)
    }
    starts = {
        offset: ends[offset] - len(record(offset).payload) - 24 for offset in ends
    }
    assert all(data[at : at + 4] != bytes(4) for at in starts.values())
    return starts | {last + 1: ends[last]}


def overwrite(path: Path, position: int, data: bytes) -> None:
    """Put bytes into a file that nobody has open."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)


def flip(path: Path, position: int, bit: int = 0) -> None:
    """Turn one bit of a file over."""
    with path.open("r+b") as file:
        file.seek(position)
        value = file.read(1)[0] ^ (1 << bit)
        file.seek(position)
        file.write(bytes([value]))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process grows past `size` bytes: a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def mounted(directory: Path, options: str) -> Iterator[bool]:
    """A tmpfs on `directory`; False where this user may not mount one."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    done = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "-l", str(directory)], check=True)


@dataclass
class FullDisk:
    """A directory in which no new segment of 1 MiB finds room."""

    directory: Path
    ballast: Path

    @contextmanager
    def filled(self) -> Iterator[None]:
        """The disk is full in the block."""
        if not self.ballast.parent.is_mount():
            with file_size_limit(1 << 19):
                yield
            return
        fd = os.open(self.ballast, os.O_WRONLY | os.O_CREAT)
        free = os.fstatvfs(fd)
        os.posix_fallocate(fd, 0, free.f_bavail * free.f_bsize)
        os.close(fd)
        yield
        self.ballast.unlink()


def descriptor_of(path: Path) -> int:
    """This process's one writing descriptor of `path`."""
    wanted = path.stat()
    for fd in range(3, 1024):
        try:
            found = os.fstat(fd)
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return fd
    raise AssertionError(f"{path} is not open")
