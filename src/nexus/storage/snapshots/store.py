"""Make and keep copies of the database at a position.

How one is received and installed is told in `receiver` and `installer`.
"""

import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import apsw
import msgspec

from nexus.errors import NotFoundError, SnapshotError
from nexus.model.position import Position
from nexus.protocol.messages import SnapshotChunk, SnapshotMeta
from nexus.storage.disk import storage_errors, sync_data, sync_directory
from nexus.storage.snapshots.copier import DATABASE_NAME, Packed
from nexus.storage.snapshots.file import FORMAT, Manifest
from nexus.storage.snapshots.packing import Packer
from nexus.storage.snapshots.pinning import FrozenFile, describe, pin_for_copy
from nexus.storage.sqlite.connections import storage_error

FILES_COUNT: Final = 2
"""The database and the manifest."""


class SnapshotInfo(msgspec.Struct, frozen=True):
    """One snapshot, as POST /replication/snapshot reports it; sizes in bytes."""

    id: str
    created_at: str
    """RFC 3339, UTC."""
    position: Position
    """Of the last entry in it; `wal_offset` is its offset."""
    wal_offset: int
    uncompressed_size: int
    """Of the database."""
    compressed_size: int
    """Of the archive."""
    checksum: str
    """CRC-32 of the archive, hexadecimal."""
    files_count: int


class Begun(msgspec.Struct, frozen=True):
    """A snapshot that is being made: its archive grows."""

    id: str
    position: Position


def _nobody(_: Begun) -> None:
    """No one wants it before it is whole."""


class SnapshotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How snapshots are packed, and how many are kept; sizes in bytes."""

    compression_level: int = 3
    """Of zstd."""
    max_size: int
    """A larger database is neither packed nor received."""
    chunk_size: int = 1 << 20
    """Of an archive, in one message."""
    keep: int = 2
    """The newest so many."""


class HasPath(Protocol):
    """An open database, as far as a copy of it is concerned."""

    path: Path


class SnapshotStore:
    """The archives in one directory, each with a JSON of its facts beside it."""

    def __init__(self, directory: Path, settings: SnapshotSettings) -> None:
        self._directory = directory
        self._settings = settings
        self._packer = Packer()
        self._remove_leftovers()

    def make(
        self,
        database: HasPath,
        cluster_id: str,
        begun: Callable[[Begun], None] = _nobody,
    ) -> SnapshotInfo:
        """Copy the database as it stands, while writes go on; durable on return.

        The copy is the content at one position, which it carries; when that is settled,
        `begun` is called. Blocks: call it in a thread, any one. Raises StorageError,
        and SnapshotError for a database over `max_size`.
        """
        snapshot_id = f"{time.time_ns() // 1_000_000}-{uuid.uuid4().hex[:8]}"
        work = self._work(snapshot_id)
        try:
            with storage_errors("making a snapshot"):
                work.mkdir()
                manifest, packed = self._pack(
                    database.path,
                    work,
                    cluster_id,
                    lambda position: begun(Begun(snapshot_id, position)),
                )
                info = SnapshotInfo(
                    id=snapshot_id,
                    created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                    position=manifest.position,
                    wal_offset=manifest.position.offset,
                    uncompressed_size=packed.size,
                    compressed_size=packed.archive_size,
                    checksum=f"{packed.archive_crc32:08x}",
                    files_count=FILES_COUNT,
                )
                self._publish(work, info)
        except apsw.Error as error:
            raise storage_error("the snapshot could not be made", error) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        self._prune()
        return info

    def list(self) -> list[SnapshotInfo]:
        """All snapshots that are whole, oldest first.

        By position: a later epoch goes before a higher offset, which a rewind may have
        taken back.
        """
        return sorted(
            (info for info in self._noted() if self._archive(info.id).exists()),
            key=lambda info: (info.position.epoch, info.position.offset, info.id),
        )

    def latest(self) -> SnapshotInfo | None:
        """The newest snapshot."""
        found = self.list()
        return found[-1] if found else None

    def get(self, snapshot_id: str) -> SnapshotInfo:
        """The facts of one; raises NotFoundError."""
        for info in self.list():
            if info.id == snapshot_id:
                return info
        raise NotFoundError(f"there is no snapshot {snapshot_id!r} on this node")

    def path(self, snapshot_id: str) -> Path:
        """The archive's file; raises NotFoundError."""
        return self._archive(self.get(snapshot_id).id)

    def meta(self, info: SnapshotInfo) -> SnapshotMeta:
        """What a replica is told before the chunks."""
        chunks = -(-info.compressed_size // self._settings.chunk_size)
        crc32 = int(info.checksum, 16)
        return SnapshotMeta(info.id, info.compressed_size, chunks, crc32, info.position)

    def chunk(self, info: SnapshotInfo, index: int) -> SnapshotChunk:
        """One piece of the archive, from 0; raises NotFoundError once it is dropped."""
        data = self._read(self._archive(info.id), index)
        if data is None:
            raise NotFoundError(
                f"snapshot {info.id} is no longer kept: newer ones were made"
            )
        return SnapshotChunk(info.id, index, data, zlib.crc32(data))

    def early_chunk(self, begun: Begun, index: int) -> SnapshotChunk | None:
        """The same of an archive that grows; None if it is not all there yet."""
        for path in (self._work(begun.id) / "archive", self._archive(begun.id)):
            data = self._read(path, index)
            if data is not None and len(data) == self._settings.chunk_size:
                return SnapshotChunk(begun.id, index, data, zlib.crc32(data))
        return None

    def _read(self, path: Path, index: int) -> bytes | None:
        try:
            with path.open("rb", buffering=0) as archive:
                archive.seek(index * self._settings.chunk_size)
                return archive.read(self._settings.chunk_size)
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Give up the snapshot that is being made; its `make` raises."""
        self._packer.close()

    def _pack(
        self,
        database: Path,
        work: Path,
        cluster_id: str,
        settled: Callable[[Position], None],
    ) -> tuple[Manifest, Packed]:
        with pin_for_copy(database) as frozen:
            if frozen is not None:
                settled(frozen.position)
                return self._pack_frozen(frozen, work, cluster_id)
        # A reader elsewhere holds an old snapshot, or a transaction lasts: let SQLite
        # write a second copy, which takes longer and room on the disk.
        copy = _copied(database, work)
        settled(copy.position)
        return self._pack_frozen(copy, work, cluster_id)

    def _pack_frozen(
        self, frozen: FrozenFile, work: Path, cluster_id: str
    ) -> tuple[Manifest, Packed]:
        size, limit = frozen.page_count * frozen.page_size, self._settings.max_size
        if size > limit:
            raise SnapshotError(
                f"the database has {size} bytes, the limit is {limit}; raise "
                "snapshot.max_size here and on the replicas"
            )
        manifest = Manifest(
            FORMAT,
            cluster_id,
            frozen.position,
            frozen.page_size,
            frozen.encoding,
            time.time_ns() // 1000,
        )
        packed = self._packer.pack(
            frozen.path,
            work / "archive",
            manifest,
            size=size,
            level=self._settings.compression_level,
        )
        return manifest, packed

    def _publish(self, work: Path, info: SnapshotInfo) -> None:
        """Give facts and archive their names; the archive, last, makes it a snapshot.

        So a crash in between leaves facts alone, which take no room.
        """
        with (work / "facts").open("wb", buffering=0) as facts:
            facts.write(msgspec.json.encode(info))
            sync_data(facts.fileno())
        (work / "facts").rename(self._facts(info.id))
        (work / "archive").rename(self._archive(info.id))
        sync_directory(self._directory)

    def _work(self, snapshot_id: str) -> Path:
        return self._directory / f"{snapshot_id}.work"

    def _archive(self, snapshot_id: str) -> Path:
        return self._directory / f"{snapshot_id}.tar.zst"

    def _facts(self, snapshot_id: str) -> Path:
        return self._directory / f"{snapshot_id}.json"

    def _noted(self) -> Iterator[SnapshotInfo]:
        """The facts that are here, with their archives or without."""
        for facts in self._directory.glob("*.json"):
            with suppress(msgspec.MsgspecError, FileNotFoundError):
                yield msgspec.json.decode(facts.read_bytes(), type=SnapshotInfo)

    def _prune(self) -> None:
        """Drop the oldest beyond `keep`."""
        for info in self.list()[: -self._settings.keep]:
            self._archive(info.id).unlink(missing_ok=True)
            self._facts(info.id).unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """What a crash left while a snapshot was made or dropped."""
        for work in self._directory.glob("*.work"):
            shutil.rmtree(work, ignore_errors=True)
        for info in tuple(self._noted()):
            if not self._archive(info.id).exists():
                self._facts(info.id).unlink(missing_ok=True)


def _copied(database: Path, work: Path) -> FrozenFile:
    """A copy that SQLite makes of one read snapshot; it keeps rowids."""
    copy = work / DATABASE_NAME
    flags = apsw.SQLITE_OPEN_READONLY
    with closing(apsw.Connection(str(database), flags=flags)) as reader:
        reader.execute("vacuum into ?", (str(copy),))
    with closing(apsw.Connection(str(copy), flags=flags)) as made:
        return describe(made, copy)
