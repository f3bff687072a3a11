"""An archive in a directory: each object a file that appears whole and synced."""

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from nexus.errors import ArchiveIncompleteError, ArchiveUnavailableError
from nexus.storage.disk import sync_directory, sync_file, write_at

_BLOCK: Final = 1 << 20
_PART: Final = ".part-"
"""How a file begins that is not whole yet; no object's name does."""

LEFT_S: Final = 86_400.0
"""A part that nobody has written to for so long is left of a process that was killed:
it may be as large as the database."""


class DirectoryStore:
    """Objects as files below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._swept: set[Path] = set()
        """Folders in which what was left was looked for."""

    @property
    def url(self) -> str:
        """The directory's path."""
        return str(self._root)

    def put(self, name: str, data: bytes) -> None:
        """Write a file beside its place, sync it, give it its name."""
        with self._written(name) as part, part.open("wb", buffering=0) as file:
            write_at(file.fileno(), data, 0)
            sync_file(file.fileno())

    def put_file(self, name: str, path: Path) -> None:
        """A second name of the same file where that can be, else a copy."""
        with self._written(name) as part:
            try:
                os.link(path, part)
            except OSError:  # another disk
                shutil.copyfile(path, part)
            fd = os.open(part, os.O_RDONLY)
            try:
                sync_file(fd)
            finally:
                os.close(fd)

    def get(self, name: str) -> bytes:
        """All of a file."""
        with self._found(name):
            return self._path(name).read_bytes()

    def stream(self, name: str) -> Iterator[bytes]:
        """The file in blocks."""
        with self._found(name), self._path(name).open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                yield block

    def list(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Every file below the folder."""
        with self._available("listing"):
            if not self._root.is_dir():
                if self._root.exists():
                    raise ArchiveUnavailableError(
                        f"the archive {self._root} is no directory; name another one"
                    )
                return
            for directory, _, files in os.walk(self._root / folder, onerror=_raise):
                for file in files:
                    path = Path(directory, file)
                    if not file.startswith(_PART):
                        with suppress(FileNotFoundError):
                            size = path.stat().st_size
                            yield path.relative_to(self._root).as_posix(), size

    def delete(self, names: Iterable[str]) -> None:
        """Remove files, and folders that are empty then."""
        with self._available("deleting in"):
            for name in names:
                path = self._path(name)
                path.unlink(missing_ok=True)
                with suppress(OSError):  # not empty
                    path.parent.rmdir()

    def _path(self, name: str) -> Path:
        return self._root / name

    @contextmanager
    def _written(self, name: str) -> Iterator[Path]:
        path = self._path(name)
        part = path.with_name(f"{_PART}{uuid.uuid4().hex}")
        with self._available("writing to"):
            is_new = not path.parent.is_dir()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sweep(path.parent)
            try:
                yield part
                part.replace(path)
            finally:
                # Also where both are one file already: then a rename does nothing.
                part.unlink(missing_ok=True)
            sync_directory(path.parent)
            if is_new:
                for parent in path.parents[1:3]:
                    sync_directory(parent)

    def _sweep(self, folder: Path) -> None:
        """Once: remove the parts that killed processes have left in a folder."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        oldest_s = time.time() - LEFT_S
        for part in folder.glob(f"{_PART}*"):
            with suppress(FileNotFoundError):
                if part.stat().st_mtime < oldest_s:
                    part.unlink()

    @contextmanager
    def _found(self, name: str) -> Iterator[None]:
        with self._available("reading"):
            try:
                yield
            except FileNotFoundError:
                raise ArchiveIncompleteError(
                    f"the archive {self._root} has no object {name}"
                ) from None

    @contextmanager
    def _available(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            where = f" ({error.filename})" if error.filename else ""
            raise ArchiveUnavailableError(
                f"{doing} the archive {self._root} failed: {reason}"
                f"{where}; mend its rights, or its disk"
            ) from error


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
