"""Databases, archives and their faults for the tests of the snapshot."""

import io
import json
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec
import zstandard

from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.protocol.messages import SnapshotMeta
from nexus.storage.database import Database
from nexus.storage.disk import storage_errors
from nexus.storage.snapshots import copier
from nexus.storage.snapshots.copier import DATABASE_NAME, MANIFEST_NAME, trailer
from nexus.storage.snapshots.extraction import FileManifest
from nexus.storage.snapshots.file import FORMAT, Manifest, extract
from nexus.storage.snapshots.receiver import SnapshotReceiver
from nexus.storage.snapshots.store import SnapshotInfo, SnapshotSettings, SnapshotStore

MAX_SIZE = 1 << 30


def position(offset: int) -> Position:
    """A position in the one history of these tests."""
    return Position(Epoch(3), Offset(offset), HistoryId("h"))


@contextmanager
def opened(
    path: Path, *, page_size: int = 4096, encoding: str = "UTF-8"
) -> Iterator[Database]:
    """A node's database for as long as the block lasts."""
    database = Database.open(path, page_size=page_size, encoding=encoding)
    try:
        yield database
    finally:
        database.close()


def write(database: Database, offset: int, *statements: str) -> None:
    """One transaction at a position."""
    database.begin()
    for statement in statements:
        database.writer.execute(statement)
    database.commit(position(offset))


def fill(database: Database, *, generation: int, rows: int = 200) -> None:
    """Make all rows of `t` say which generation they are of; its offset too."""
    write(
        database,
        generation,
        "create table if not exists t(id integer primary key, generation, filling)",
        "delete from t",
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < "
        f"{rows}) insert into t select i, {generation}, hex(randomblob(100)) from n",
    )


def generation_of(connection: apsw.Connection) -> int:
    """The one generation of all rows, proven to be that of the stored offset."""
    ((low, high, offset),) = connection.execute(
        'select min(generation), max(generation), (select "offset" from nexus_position)'
        " from t"
    ).fetchall()
    assert low == high == offset, "rows of two states"
    assert isinstance(low, int)
    return low


def only_reading(path: Path) -> apsw.Connection:
    """A connection to a file that nobody has open."""
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)


def received(store: SnapshotStore, info: SnapshotInfo, directory: Path) -> Path:
    """The verified copy, as a replica has it when the last chunk is there."""
    directory.mkdir(exist_ok=True)
    receiver = SnapshotReceiver(directory, max_size=MAX_SIZE)
    meta = store.meta(info)
    receiver.begin(meta)
    for index in range(meta.chunk_count):
        receiver.add(store.chunk(info, index))
    return receiver.finish()


def standing_copy(
    directory: Path,
    *statements: str,
    generation: int,
    rows: int = 200,
    page_size: int = 4096,
    encoding: str = "UTF-8",
) -> Path:
    """A database as a receiver leaves it: verified, its manifest beside it."""
    directory.mkdir()
    copy = directory / DATABASE_NAME
    with opened(copy, page_size=page_size, encoding=encoding) as database:
        fill(database, generation=generation, rows=rows)
        write(database, generation, *statements)
    data = copy.read_bytes()
    at = list(msgspec.structs.astuple(position(generation)))
    facts = manifest_of(data, position=at, page_size=page_size, encoding=encoding)
    (directory / MANIFEST_NAME).write_bytes(facts)
    return copy


def manifest_of(data: bytes, **fields: object) -> bytes:
    """A manifest that says of `data` what is true, but for `fields`."""
    entry = {"name": DATABASE_NAME, "size": len(data), "crc32": zlib.crc32(data)}
    whole = {
        "format": FORMAT,
        "cluster_id": "c",
        "position": [3, 7, "h"],
        "page_size": 4096,
        "encoding": "UTF-8",
        "created_us": 1,
        "files": [entry],
    }
    return json.dumps(whole | fields).encode()


def pack(database: Path, archive: Path, manifest: Manifest, *, level: int) -> Manifest:
    """Write the archive of a file that nobody uses; the manifest as it stands in it."""
    size, fields = database.stat().st_size, msgspec.to_builtins(manifest)
    with storage_errors(f"packing {database.name}"), database.open("rb") as source:
        packed = copier.pack_file(source, archive, fields, size=size, level=level)
    file = FileManifest(DATABASE_NAME, packed.size, packed.crc32)
    return msgspec.structs.replace(manifest, files=(file,))


def verify(archive: Path) -> Manifest:
    """What an archive holds; raises SnapshotError for what cannot be trusted."""
    with tempfile.TemporaryDirectory() as place:
        return extract(archive, Path(place), max_size=MAX_SIZE)


def empty_manifest() -> Manifest:
    """What is known before a database is packed."""
    return Manifest(FORMAT, "c", position(7), 4096, "UTF-8", 1)


def member(name: str, data: bytes = b"", **fields: object) -> bytes:
    """One member of a tar: header, content and padding."""
    header = tarfile.TarInfo(name)
    header.size = len(data)
    for field, value in fields.items():
        setattr(header, field, value)
    padding = bytes(-len(data) % tarfile.BLOCKSIZE)
    return header.tobuf(tarfile.GNU_FORMAT) + data + padding


def archive_of(*members: bytes, end: bytes = bytes(1024)) -> bytes:
    """A tar.zst of these members with a CRC-32 that is right."""
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(
        b"".join(members) + end
    )
    return packed + trailer(zlib.crc32(packed))


def honest(data: bytes) -> tuple[bytes, bytes]:
    """The two members of an archive that nothing is wrong with."""
    return member(DATABASE_NAME, data), member(MANIFEST_NAME, manifest_of(data))


def meta_of(archive: bytes, *, chunk_bytes: int = 1000, at: int = 7) -> SnapshotMeta:
    """What a master announces of an archive."""
    chunks = -(-len(archive) // chunk_bytes)
    return SnapshotMeta("s", len(archive), chunks, zlib.crc32(archive), position(at))


def tar_names(archive: Path) -> list[str]:
    """The members, as any tar reads them."""
    with archive.open("rb") as source:
        content = zstandard.ZstdDecompressor().stream_reader(source).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return tar.getnames()


def contents(directory: Path) -> Iterable[str]:
    """Every file below a directory."""
    return sorted(
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file()
    )


def store_at(root: Path) -> SnapshotStore:
    """The master's snapshots."""
    directory = root / "master"
    directory.mkdir(exist_ok=True)
    return SnapshotStore(directory, SnapshotSettings(max_size=1 << 30, chunk_size=4096))
