"""Receive a snapshot: each chunk is checked, kept and unpacked as it arrives.

So the copy stands verified the moment the last chunk is there. The chunks themselves
are kept until then: a transfer goes on at the next one, after a restart too.
"""

import shutil
import zlib
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from nexus.errors import SnapshotError
from nexus.model.position import ORIGIN
from nexus.protocol.messages import SnapshotChunk, SnapshotMeta
from nexus.storage.disk import storage_errors
from nexus.storage.snapshots.copier import (
    BLOCK_BYTES,
    DATABASE_NAME,
    MANIFEST_NAME,
    write_all,
)
from nexus.storage.snapshots.extraction import Extractor
from nexus.storage.snapshots.file import Manifest, verified

GROWTH_BYTES: Final = 1 << 20
"""So much more than the database, and a 64th of that, an archive may take at most."""


class _Begun(msgspec.Struct, frozen=True):
    """Beside the chunks: which snapshot they are of."""

    meta: SnapshotMeta
    chunk_bytes: int
    """Of every chunk but the last."""


class SnapshotReceiver:
    """Collects one snapshot at a time; one thread at a time.

    Memory: one chunk and the window of the archive. A snapshot that is refused, or
    another one that begins, drops what was there.
    """

    def __init__(self, directory: Path, *, max_size: int) -> None:
        """A database of more than `max_size` bytes is refused."""
        self._directory = directory / "incoming"
        self._max_size = max_size
        self._meta: SnapshotMeta | None = None
        self._next = 0
        self._chunk_bytes = 0
        self._received = 0
        self._archive: BinaryIO | None = None
        self._extractor: Extractor | None = None
        if self._begun() is None:
            self.drop()  # a copy, say, that a crash kept from being installed

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of the archive that are here, and of all of it where that is known."""
        meta = self._meta
        return (0, 0) if meta is None else (self._received, meta.total_size)

    def pending(self) -> tuple[str, int] | None:
        """A broken transfer, from before a restart too: its id, and the next chunk."""
        if self._meta is not None:
            return self._meta.snapshot_id, self._next
        begun = self._begun()
        if begun is None:
            return None
        whole = self._archive_path.stat().st_size // begun.chunk_bytes
        if not begun.meta.is_growing:
            whole = min(whole, begun.meta.chunk_count)
        return begun.meta.snapshot_id, whole

    def begin(self, meta: SnapshotMeta, next_chunk: int = 0) -> int:
        """Expect chunks from `next_chunk` on; 0 begins anew.

        Returns the chunk that is expected: 0 where less than asked for is here. Raises
        SnapshotError, StorageError.
        """
        with storage_errors(f"receiving snapshot {meta.snapshot_id}"):
            if next_chunk and self._goes_on(meta, next_chunk):
                self._announced(meta)
                return next_chunk
            if next_chunk and self._replayed(meta, next_chunk):
                return next_chunk
            self._begin_anew(meta)
            return 0

    def add(self, chunk: SnapshotChunk) -> None:
        """Keep one chunk; raises SnapshotError if it is damaged or out of order."""
        meta = self._meta
        if (
            meta is None
            or chunk.snapshot_id != meta.snapshot_id
            or chunk.chunk_index != self._next
            or zlib.crc32(chunk.data) != chunk.crc32
        ):
            raise SnapshotError(
                f"chunk {chunk.chunk_index} of snapshot {chunk.snapshot_id} is damaged "
                f"or not chunk {self._next}; it is asked for again"
            )
        self._check_size(meta, chunk)
        with storage_errors(f"receiving snapshot {meta.snapshot_id}"):
            self._keep(meta, chunk.data)

    def finish(self) -> Path:
        """The verified database's file, its manifest beside it; nothing is synced.

        Raises SnapshotError if the archive is not whole, or not what was announced.
        """
        meta, extractor = self._meta, self._extractor
        assert meta is not None, "a snapshot was begun"
        assert extractor is not None, "a snapshot was begun"
        try:
            with storage_errors(f"receiving snapshot {meta.snapshot_id}"):
                manifest = _checked(meta, extractor, self._received)
                beside = self._directory / MANIFEST_NAME
                beside.write_bytes(msgspec.json.encode(manifest))
        except SnapshotError:
            self.drop()
            raise
        self.close()
        self._archive_path.unlink()
        self._begun_path.unlink()
        return self._directory / DATABASE_NAME

    def drop(self) -> None:
        """Forget the snapshot, and remove what had arrived."""
        self.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def close(self) -> None:
        """Close the files; what has arrived stays for `pending`."""
        self._meta = None
        if self._archive is not None:
            self._archive.close()
            self._archive = None
        if self._extractor is not None:
            self._extractor.close()
            self._extractor = None

    def _goes_on(self, meta: SnapshotMeta, next_chunk: int) -> bool:
        return (
            self._meta is not None
            and (self._meta == meta or meta.completes(self._meta))
            and self._next == next_chunk
        )

    def _announced(self, meta: SnapshotMeta) -> None:
        """The figures of a snapshot whose first chunks are here already."""
        if self._meta != meta:
            self._note(meta)
        self._meta = meta

    def _note(self, meta: SnapshotMeta) -> None:
        begun = _Begun(meta, max(1, self._chunk_bytes))
        self._begun_path.write_bytes(msgspec.json.encode(begun))

    @property
    def _archive_path(self) -> Path:
        return self._directory / "archive.part"

    @property
    def _begun_path(self) -> Path:
        return self._directory / "begun.json"

    def _begin_anew(self, meta: SnapshotMeta) -> None:
        self.drop()
        self._directory.mkdir(parents=True)
        self._open(meta)
        self._archive = self._archive_path.open("wb", buffering=0)

    def _open(self, meta: SnapshotMeta) -> None:
        path = self._directory / DATABASE_NAME
        self._extractor = Extractor(path, max_size=self._max_size)
        self._meta = meta
        self._next = self._received = self._chunk_bytes = 0

    def _replayed(self, meta: SnapshotMeta, next_chunk: int) -> bool:
        """Unpack again what is on the disk.

        False if that is less, or of another snapshot, or spoiled: it was never synced.
        """
        begun = self._begun()
        if begun is None or not (begun.meta == meta or meta.completes(begun.meta)):
            return False
        size = begun.chunk_bytes * next_chunk
        if not meta.is_growing:
            size = min(size, meta.total_size)
        if self._archive_path.stat().st_size < size:
            return False
        self.close()
        self._open(meta)
        assert self._extractor is not None, "it was opened"
        archive = self._archive_path.open("r+b", buffering=0)
        self._archive = archive
        archive.truncate(size)
        try:
            while block := archive.read(BLOCK_BYTES):
                self._extractor.feed(block)
        except SnapshotError:
            return False
        self._next, self._received = next_chunk, size
        self._chunk_bytes = begun.chunk_bytes
        if begun.meta != meta:
            self._note(meta)
        return True

    def _begun(self) -> _Begun | None:
        try:
            text = self._begun_path.read_bytes()
            begun = msgspec.json.decode(text, type=_Begun)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return begun if self._archive_path.exists() else None

    def _check_size(self, meta: SnapshotMeta, chunk: SnapshotChunk) -> None:
        """All chunks but the last have one size, and no more comes than announced."""
        size, limit = len(chunk.data), meta.total_size
        is_last = chunk.chunk_index == meta.chunk_count - 1
        expected = limit - self._received if is_last else self._chunk_bytes
        fits = size == (expected or size)
        if meta.is_growing:
            # Any chunk may be the last and short, but none comes behind it.
            limit = self._max_size + (self._max_size >> 6) + GROWTH_BYTES
            is_whole = self._received == self._next * self._chunk_bytes
            fits = size <= (expected or size) and is_whole
        if not fits or self._received + size > limit:
            raise SnapshotError(
                f"chunk {chunk.chunk_index} of snapshot {chunk.snapshot_id} has {size} "
                f"bytes instead of {expected}; the snapshot is fetched again"
            )

    def _keep(self, meta: SnapshotMeta, data: bytes) -> None:
        assert self._archive is not None, "a snapshot was begun"
        assert self._extractor is not None, "a snapshot was begun"
        if self._next == 0:
            self._chunk_bytes = len(data)
            self._note(meta)
        try:
            write_all(self._archive.fileno(), data)
            self._extractor.feed(data)
        except BaseException:
            self.drop()  # the two may stand at different bytes now
            raise
        self._next += 1
        self._received += len(data)


def _checked(meta: SnapshotMeta, extractor: Extractor, received: int) -> Manifest:
    """The manifest of a snapshot that is whole, and the one that was announced."""
    crc32 = extractor.archive_crc32
    if received != meta.total_size or crc32 != meta.crc32:
        raise SnapshotError(
            f"snapshot {meta.snapshot_id} did not arrive whole: {received} of "
            f"{meta.total_size} bytes, CRC-32 {crc32:08x}, announced was "
            f"{meta.crc32:08x}; it is fetched again"
        )
    manifest = verified(extractor)
    if meta.position not in {ORIGIN, manifest.position}:
        raise SnapshotError(
            f"snapshot {meta.snapshot_id} stands at {manifest.position}, announced was "
            f"{meta.position}; it is fetched again"
        )
    return manifest
