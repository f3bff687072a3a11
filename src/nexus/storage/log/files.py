"""The directory of the log's segments: which files there are, made and dropped whole.

A new segment is written under another name, synced and renamed. To begin the log anew
takes several files' removal, so the new segment is named `<offset>.reset` first: from
then on every opening finishes the job.
"""

import os
from pathlib import Path
from typing import Final

from nexus.errors import StorageError
from nexus.model.position import Offset
from nexus.storage.disk import sync_directory
from nexus.storage.log.segment import HEADER, Segment

SUFFIX: Final = ".wal"
_RESET_SUFFIX: Final = ".reset"
_PREPARED: Final = "prepared.tmp"


def open_directory(directory: Path, *, size: int, every: int) -> tuple[Segment, ...]:
    """The log's segments in order, at least one; their contents are not checked.

    Finishes what a crash interrupted. Raises StorageError, also where this process
    may not write, CorruptLogError for a file header, and OSError.
    """
    if not directory.is_dir():
        directory.mkdir(parents=True)
        sync_directory(directory.parent)
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StorageError(
            f"the log directory {directory} is not writable by this process; give the "
            "node's user write permission, or mount it read-write"
        )
    (directory / _PREPARED).unlink(missing_ok=True)
    for path in directory.glob(f"*{_RESET_SUFFIX}"):
        _finish_reset(directory, path)
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    if not paths:
        prepare(directory, Offset(1), size=size)
        return (publish(directory, Offset(1), every=every),)
    return tuple(Segment.load(path, every=every) for path in paths)


def prepare(directory: Path, first_offset: Offset, *, size: int) -> None:
    """Make the next segment under a name that no log reads; synced.

    Raises OSError with nothing left behind.
    """
    Segment.create(directory / _PREPARED, first_offset, size=size)


def publish(directory: Path, first_offset: Offset, *, every: int) -> Segment:
    """Give the prepared segment its name, durably; it is the log's last from now on."""
    path = _path(directory, first_offset, SUFFIX)
    (directory / _PREPARED).rename(path)
    sync_directory(directory)
    return _load_empty(path, every=every)


def publish_alone(directory: Path, first_offset: Offset, *, every: int) -> Segment:
    """Like `publish`, and every other segment is gone, also after a crash in here."""
    path = _path(directory, first_offset, _RESET_SUFFIX)
    (directory / _PREPARED).rename(path)
    sync_directory(directory)
    return _load_empty(_finish_reset(directory, path), every=every)


def drop(segment: Segment) -> None:
    """Remove the file, durably; who has it open goes on reading."""
    segment.path.unlink()
    sync_directory(segment.path.parent)


def _path(directory: Path, first_offset: int, suffix: str) -> Path:
    return directory / f"{first_offset:020d}{suffix}"


def _load_empty(path: Path, *, every: int) -> Segment:
    segment = Segment.load(path, every=every)
    segment.end = HEADER.size
    return segment


def _finish_reset(directory: Path, path: Path) -> Path:
    for old in directory.glob(f"*{SUFFIX}"):
        old.unlink()
    # Before the name: a crash must not bring an old segment back beside the new one.
    sync_directory(directory)
    final = path.with_suffix(SUFFIX)
    path.rename(final)
    sync_directory(directory)
    return final
