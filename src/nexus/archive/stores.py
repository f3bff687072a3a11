"""What an archive needs of the place where it lies."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Objects by name; used from several threads. Names are ours, and safe.

    Every call blocks, and raises ArchiveUnavailableError when the place refuses or
    does not answer in time.
    """

    @property
    def url(self) -> str:
        """Where it is; without secrets."""

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whole or not at all, in place of one of that name."""

    def put_file(self, name: str, path: Path) -> None:
        """The same from a file, in bounded memory."""

    def get(self, name: str) -> bytes:
        """All of an object; raises ArchiveIncompleteError where there is none."""

    def stream(self, name: str) -> Iterator[bytes]:
        """The same in pieces."""

    def list(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of all objects below a folder."""

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are gone are passed over."""
