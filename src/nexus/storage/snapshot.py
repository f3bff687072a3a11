"""Make, keep, receive and install copies of the database at a position."""

import os
import shutil
import time
import uuid
import zlib
from datetime import UTC, datetime
from pathlib import Path

import apsw
import msgspec

from nexus.errors import NotFoundError, SnapshotError
from nexus.model.position import Position
from nexus.protocol.messages import SnapshotChunk, SnapshotMeta
from nexus.storage import system
from nexus.storage.archive import (
    BLOCK_BYTES,
    DATABASE_NAME,
    FORMAT,
    Manifest,
    extract,
    pack,
)
from nexus.storage.database import Database, storage_error


class SnapshotInfo(msgspec.Struct, frozen=True):
    """One snapshot, as POST /replication/snapshot reports it; sizes in bytes."""

    id: str
    created_at: str
    position: Position
    wal_offset: int
    uncompressed_size: int
    compressed_size: int
    checksum: str
    """CRC-32 of the archive, hexadecimal."""
    files_count: int


class SnapshotSettings(msgspec.Struct, frozen=True):
    """How snapshots are packed, and how many are kept."""

    compression_level: int = 3
    max_size: int = 10 << 30
    chunk_size: int = 1 << 20
    keep: int = 2


class SnapshotStore:
    """The archives in one directory, each with a JSON of its facts beside it."""

    def __init__(self, directory: Path, settings: SnapshotSettings) -> None:
        self._directory = directory
        self._settings = settings

    def make(self, database: Database, cluster_id: str) -> SnapshotInfo:
        """Copy the database as it stands, while writes go on; durable on return.

        SQLite copies it within one read snapshot (`VACUUM INTO`), so that the copy
        carries its own position. Blocks: call it in a thread. Raises StorageError.
        """
        snapshot_id = f"{int(time.time())}-{uuid.uuid4().hex[:8]}"
        work = self._directory / f"{snapshot_id}.work"
        work.mkdir()
        try:
            copy, archive = work / DATABASE_NAME, work / "archive"
            manifest = _copy(database, copy, cluster_id)
            manifest = pack(
                copy, archive, manifest, level=self._settings.compression_level
            )
            _sync(archive)
            info = SnapshotInfo(
                id=snapshot_id,
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                position=manifest.position,
                wal_offset=manifest.position.offset,
                uncompressed_size=manifest.files[0].size,
                compressed_size=archive.stat().st_size,
                checksum=f"{file_crc32(archive):08x}",
                files_count=len(manifest.files) + 1,
            )
            (work / "facts").write_bytes(msgspec.json.encode(info))
            _sync(work / "facts")
            archive.rename(self._archive(snapshot_id))
            (work / "facts").rename(self._directory / f"{snapshot_id}.json")
            _sync(self._directory)
        except apsw.Error as error:
            raise storage_error("the snapshot could not be made", error) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        self._prune()
        return info

    def list(self) -> list[SnapshotInfo]:
        """All snapshots that are whole, oldest first."""
        found = []
        for facts in self._directory.glob("*.json"):
            try:
                info = msgspec.json.decode(facts.read_bytes(), type=SnapshotInfo)
            except (msgspec.MsgspecError, FileNotFoundError):
                continue
            if self._archive(info.id).exists():
                found.append(info)
        return sorted(found, key=lambda info: (info.wal_offset, info.id))

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
        """One piece of the archive, from 0."""
        with self._archive(info.id).open("rb") as archive:
            archive.seek(index * self._settings.chunk_size)
            data = archive.read(self._settings.chunk_size)
        return SnapshotChunk(info.id, index, data, zlib.crc32(data))

    def _archive(self, snapshot_id: str) -> Path:
        return self._directory / f"{snapshot_id}.tar.zst"

    def _prune(self) -> None:
        """Drop the oldest beyond `keep`; a reader of one keeps its open file."""
        for info in self.list()[: -self._settings.keep]:
            (self._directory / f"{info.id}.json").unlink(missing_ok=True)
            self._archive(info.id).unlink(missing_ok=True)


class SnapshotReceiver:
    """Collects a snapshot's chunks in one file."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "incoming.part"
        self._meta: SnapshotMeta | None = None
        self._next = 0

    def begin(self, meta: SnapshotMeta, next_chunk: int) -> None:
        """Expect chunks from `next_chunk` on; 0 begins anew."""
        if next_chunk == 0 or self._meta is None:
            self._path.write_bytes(b"")
            next_chunk = 0
        self._meta = meta
        self._next = next_chunk

    def add(self, chunk: SnapshotChunk) -> None:
        """Keep one chunk; raises SnapshotError if it is damaged or out of order."""
        if chunk.chunk_index != self._next or zlib.crc32(chunk.data) != chunk.crc32:
            raise SnapshotError(
                f"chunk {chunk.chunk_index} of snapshot {chunk.snapshot_id} is damaged "
                f"or not chunk {self._next}; it is asked for again"
            )
        with self._path.open("ab") as part:
            part.write(chunk.data)
        self._next += 1

    def finish(self) -> Path:
        """The whole archive, its CRC verified; raises SnapshotError."""
        meta = self._meta
        assert meta is not None, "a snapshot was begun"
        size = self._path.stat().st_size
        if size != meta.total_size or file_crc32(self._path) != meta.crc32:
            self._meta = None
            raise SnapshotError(
                f"snapshot {meta.snapshot_id} did not arrive whole ({size} of "
                f"{meta.total_size} bytes, or a wrong CRC); it is fetched again"
            )
        return self._path


def install(archive: Path, target: Path, work: Path, *, max_size: int) -> Manifest:
    """Verify an archive and put it where no database stands yet; durable on return."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        manifest = extract(archive, work, max_size=max_size)
        _sync(work / DATABASE_NAME)
        (work / DATABASE_NAME).rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return manifest


def install_into(
    archive: Path, database: Database, work: Path, *, max_size: int
) -> Manifest:
    """Replace a live database's content as one transaction; durable on return.

    Its pages go in through SQLite's backup in a single step, so that readers in any
    process stay connected and see the old rows or the new ones. Runs on the writer's
    thread. Raises SnapshotError or StorageError with the database as it was.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        manifest = extract(archive, work, max_size=max_size)
        source = apsw.Connection(str(work / DATABASE_NAME))
        try:
            if source.pragma("page_size") != database.page_size:
                source.close()
                source = _rewritten(work, database.page_size)
            database.writer.pragma("synchronous", 2)
            with database.writer.backup("main", source, "main") as backup:
                backup.step(-1)
        finally:
            source.close()
            database.writer.pragma("synchronous", 1)
        database.reload()
        database.checkpoint()
    except apsw.Error as error:
        raise storage_error("the snapshot could not be installed", error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return manifest


def file_crc32(path: Path) -> int:
    """CRC-32 of a whole file."""
    crc32 = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            crc32 = zlib.crc32(block, crc32)
    return crc32


def _copy(database: Database, copy: Path, cluster_id: str) -> Manifest:
    with database.reader() as reader:
        reader.pragma("query_only", 0)
        try:
            reader.execute("vacuum into ?", (str(copy),))
        finally:
            reader.pragma("query_only", 1)
    made = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        position: Position = system.read_position(made)
        return Manifest(
            FORMAT,
            cluster_id,
            position,
            made.pragma("page_size"),
            made.pragma("encoding"),
            time.time_ns() // 1000,
        )
    finally:
        made.close()


def _rewritten(work: Path, page_size: int) -> apsw.Connection:
    """The same rows under another page size: backup cannot change it."""
    source = apsw.Connection(str(work / DATABASE_NAME))
    source.execute(f"pragma page_size = {int(page_size)}")
    source.execute("vacuum into ?", (str(work / "rewritten.db"),))
    source.close()
    return apsw.Connection(str(work / "rewritten.db"))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
