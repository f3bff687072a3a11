"""Where a data directory is made before it stands in its place: whole, or not at all.

Beside its place, and then renamed. A directory that no rename can replace (a mount
point, a volume of a container, a link) is filled from within: no node starts there
before that is done, and the next restore clears away what was broken off.
"""

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.errors import ArchiveError
from nexus.storage.directory import DataDirectory
from nexus.storage.disk import storage_error, storage_errors, sync_directory

LOST: Final = "lost+found"
"""A file system's own, at its root."""


@dataclass(frozen=True, slots=True)
class Staging:
    """One data directory in the making."""

    work: Path
    """Where to make it; gone at the end."""
    target: Path
    within: bool
    """Whether its files go into the target one by one; else it becomes the target."""

    def publish(self) -> None:
        """It is whole: put it in its place, durable on return. Raises StorageError."""
        with storage_errors(f"renaming {self.work}"):
            for directory, _, _ in os.walk(self.work):
                sync_directory(Path(directory))
            if not self.within:
                self.work.rename(self.target)  # an empty directory gives way
                sync_directory(self.target.absolute().parent)
                return
            for made in sorted(self.work.iterdir()):
                made.rename(self.target / made.name)
            sync_directory(self.target)


def is_vacant(target: Path) -> bool:
    """Whether a data directory may be made there, which stands or not."""
    if not target.exists():
        return True
    if not target.is_dir():
        return False
    mine = DataDirectory(target).restoring.name
    names = {path.name for path in target.iterdir()}
    if mine in names:
        names -= {path.name for path in _made(DataDirectory(target))}
    return names <= {LOST, mine}


@contextmanager
def staging(target: Path) -> Iterator[Staging]:
    """Make a data directory for `target`, and `publish` it; else nothing is left.

    Raises ArchiveError where something is there, StorageError where it cannot be made.
    """
    if not is_vacant(target):
        raise ArchiveError(
            f"'{target}' is there and not empty; move it away, or name another "
            "directory with --data"
        )
    work = _beside(target)
    if work is None:
        with _inside(target) as stage:
            yield stage
        return
    try:
        with _alone(work, f"another restore has removed '{work}'; run it again"):
            _clear_beside(target)
            yield Staging(work, target, within=False)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _clear_beside(target: Path) -> None:
    """Remove what restores to this place have left that were broken off."""
    left = re.compile(re.escape(target.name) + r"\.restoring-[0-9a-f]{8}")
    for path in target.absolute().parent.iterdir():
        if left.fullmatch(path.name):
            with suppress(ArchiveError, OSError), _alone(path, "it is at work"):
                shutil.rmtree(path)


def _beside(target: Path) -> Path | None:
    """A new directory that can be renamed to the target; None where that cannot be.

    Nor where this process is: whoever called it would find itself in no directory.
    """
    if target.is_dir() and target.samefile(Path.cwd()):
        return None
    work = target.with_name(f"{target.name}.restoring-{uuid.uuid4().hex[:8]}")
    try:
        work.mkdir(parents=True)
    except OSError as error:
        if target.is_dir():
            return None
        raise storage_error(error, f"making {work}") from error
    if not target.exists():
        return work
    try:
        shutil.copymode(target, work)
        work.rename(target)  # what can be done now can be done in the end
        work.mkdir()
        shutil.copymode(target, work)
    except OSError:
        with suppress(OSError):
            work.rmdir()
        return None
    return work


@contextmanager
def _inside(target: Path) -> Iterator[Staging]:
    directory = DataDirectory(target)
    with storage_errors(f"making {directory.restoring}"):
        directory.restoring.mkdir(exist_ok=True)
        sync_directory(target)
    busy = f"another restore into '{target}' is at work; wait for it"
    with _alone(directory.restoring, busy):
        work = directory.restoring / "data"
        try:
            with storage_errors(f"clearing {target}"):
                _clear(directory)
                work.mkdir()
            yield Staging(work, target, within=True)
        except BaseException:
            with suppress(OSError):
                _clear(directory)
            raise
        finally:
            shutil.rmtree(directory.restoring, ignore_errors=True)
            with storage_errors(f"clearing {directory.restoring}"):
                sync_directory(target)


@contextmanager
def _alone(restoring: Path, otherwise: str) -> Iterator[None]:
    """Nobody else restores by this directory meanwhile, else ArchiveError says so."""
    descriptor = os.open(restoring, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ArchiveError(otherwise) from None
        yield
    finally:
        os.close(descriptor)


def _clear(directory: DataDirectory) -> None:
    """Remove what a restore has made: no node has ever started on it."""
    for path in (*_made(directory), directory.restoring / "data"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _made(directory: DataDirectory) -> tuple[Path, ...]:
    return (
        directory.database,
        directory.catalog,
        directory.catalog_journal,
        directory.wal,
        directory.snapshots,
        directory.diverged,
    )
