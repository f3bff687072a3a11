"""The snapshot's file: a tar.zst of the database and its manifest.

Members, in this order: `nexus.db`, then `manifest.json`, whose CRC-32 of the database
is known only when it has been packed. Nothing else is ever extracted.
"""

import io
import tarfile
import zlib
from pathlib import Path
from typing import IO, Final

import msgspec
import zstandard

from nexus.errors import SnapshotError
from nexus.model.position import Position

FORMAT: Final = 1
BLOCK_BYTES: Final = 1 << 20
MANIFEST_BYTES: Final = 1 << 20
DATABASE_NAME: Final = "nexus.db"
MANIFEST_NAME: Final = "manifest.json"


class FileManifest(msgspec.Struct, frozen=True):
    """One file in the archive."""

    name: str
    size: int
    crc32: int


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds."""

    format: int
    cluster_id: str
    position: Position
    page_size: int
    encoding: str
    created_us: int
    files: tuple[FileManifest, ...] = ()


class _CountingReader:
    """Reads a file and sums up what passed."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.crc32 = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.crc32 = zlib.crc32(data, self.crc32)
        return data


def pack(database: Path, archive: Path, manifest: Manifest, *, level: int) -> Manifest:
    """Write the archive of a database file that nobody changes; synced by the caller.

    Returns the manifest as it stands in the archive, with the file's size and CRC.
    """
    compressor = zstandard.ZstdCompressor(level=level, threads=-1)
    with (
        archive.open("wb") as target,
        compressor.stream_writer(target, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", bufsize=BLOCK_BYTES) as tar,
        database.open("rb") as source,
    ):
        header = tarfile.TarInfo(DATABASE_NAME)
        header.size = database.stat().st_size
        counted = _CountingReader(source)
        tar.addfile(header, counted)
        file = FileManifest(DATABASE_NAME, header.size, counted.crc32)
        manifest = msgspec.structs.replace(manifest, files=(file,))
        text = msgspec.json.encode(manifest)
        header = tarfile.TarInfo(MANIFEST_NAME)
        header.size = len(text)
        tar.addfile(header, io.BytesIO(text))
    return manifest


def extract(archive: Path, directory: Path, *, max_size: int) -> Manifest:
    """Unpack into `directory` what an archive may hold, and verify it.

    Raises SnapshotError for anything else: another name, a path, a link, a device, a
    file over `max_size` bytes, a wrong size or CRC, damage. Nothing is written outside
    `directory`, and nothing beyond `max_size`.
    """
    try:
        with archive.open("rb") as source:
            return _extract(source, directory, max_size)
    except (zstandard.ZstdError, tarfile.TarError, EOFError) as e:
        raise SnapshotError(
            f"{archive.name} is damaged or no snapshot ({e}); make a new one"
        ) from e


def _extract(source: IO[bytes], directory: Path, max_size: int) -> Manifest:
    reader = zstandard.ZstdDecompressor().stream_reader(source)
    found: FileManifest | None = None
    manifest: Manifest | None = None
    with tarfile.open(fileobj=reader, mode="r|", bufsize=BLOCK_BYTES) as tar:
        for member in tar:
            expected = MANIFEST_NAME if found else DATABASE_NAME
            if manifest or member.name != expected or not member.isreg():
                raise SnapshotError(
                    f"the archive holds {member.name!r} where only a regular file "
                    f"{expected!r} may stand; do not trust where it came from"
                )
            limit = MANIFEST_BYTES if found else max_size
            if member.size > limit:
                raise SnapshotError(
                    f"{member.name} takes {member.size} bytes, the limit is {limit} "
                    "(snapshot.max_size)"
                )
            content = tar.extractfile(member)
            assert content is not None, "a regular file has content"
            if found is None:
                found = _write(content, directory / DATABASE_NAME, member.size)
            else:
                manifest = _read_manifest(content.read(MANIFEST_BYTES))
    if found is None or manifest is None:
        raise SnapshotError("the archive ends early; fetch it again")
    if manifest.files != (found,):
        raise SnapshotError(
            f"{DATABASE_NAME} is not what the manifest says: found {found}, expected "
            f"{manifest.files}; make a new snapshot"
        )
    return manifest


def _write(content: IO[bytes], path: Path, size: int) -> FileManifest:
    crc32 = written = 0
    with path.open("wb") as target:
        while block := content.read(BLOCK_BYTES):
            crc32 = zlib.crc32(block, crc32)
            written += target.write(block)
    if written != size:
        raise SnapshotError(f"{path.name} has {written} bytes instead of {size}")
    return FileManifest(DATABASE_NAME, written, crc32)


def _read_manifest(text: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the archive's manifest is malformed: {error}") from error
    if manifest.format != FORMAT:
        raise SnapshotError(
            f"the archive has format {manifest.format}, this version reads {FORMAT}; "
            "upgrade Nexus"
        )
    return manifest
