"""A store that refuses, hangs, loses and truncates as it is told."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus.archive.stores import Store
from nexus.errors import ArchiveUnavailableError

LONGEST_S = 30.0


class FaultyStore:
    """Stands before another store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._flows = threading.Event()
        self._flows.set()
        self.refuses = False
        self.refuses_files = False
        self.breaks = False
        self.loses = 0
        """So many of the next objects are taken, and are not there afterwards."""
        self.truncates = 0
        """So many of the next objects arrive cut off."""

    @property
    def url(self) -> str:
        """The store's own."""
        return self._store.url

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """No call returns until the context ends."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def put(self, name: str, data: bytes) -> None:
        """Take an object, or do what was told."""
        self._meet()
        if name.endswith(".entries") and self.loses:
            self.loses -= 1
            return
        if name.endswith(".entries") and self.truncates:
            self.truncates -= 1
            data = data[: len(data) // 2]
        self._store.put(name, data)

    def put_file(self, name: str, path: Path) -> None:
        """Take a file."""
        self._meet()
        if self.refuses_files:
            raise ArchiveUnavailableError("the store refuses files")
        self._store.put_file(name, path)

    def get(self, name: str) -> bytes:
        """Give an object."""
        self._meet()
        return self._store.get(name)

    def stream(self, name: str) -> Iterator[bytes]:
        """Give it in pieces."""
        self._meet()
        return self._store.stream(name)

    def list(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """What is there."""
        self._meet()
        return self._store.list(folder)

    def delete(self, names: Iterable[str]) -> None:
        """Remove some."""
        self._meet()
        self._store.delete(names)

    def _meet(self) -> None:
        assert self._flows.wait(LONGEST_S)
        if self.breaks:
            _ = 1 // 0
        if self.refuses:
            raise ArchiveUnavailableError("the store refuses: 503")
