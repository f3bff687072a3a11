"""The snapshot's file: a tar.zst of the database and its manifest.

Members, in this order: `nexus.db`, then `manifest.json`, whose CRC-32 of the database
is known only when it has been packed. Behind them, in a frame that zstd skips, stands
the CRC-32 of the whole archive. Nothing else is ever extracted.
"""

from pathlib import Path
from typing import Final

import msgspec

from nexus.errors import SnapshotError
from nexus.model.position import Position
from nexus.storage.disk import storage_errors
from nexus.storage.snapshots.copier import BLOCK_BYTES, DATABASE_NAME
from nexus.storage.snapshots.extraction import Extractor, FileManifest

FORMAT: Final = 1


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds."""

    format: int
    cluster_id: str
    position: Position
    page_size: int
    encoding: str
    created_us: int
    files: tuple[FileManifest, ...] = ()


def extract(archive: Path, directory: Path, *, max_size: int) -> Manifest:
    """Unpack into `directory` what an archive may hold, and verify it.

    Raises SnapshotError for anything else: another name, a path, a link, a device, a
    file over `max_size` bytes, a wrong size or CRC, damage. Nothing is written outside
    `directory`, nothing beyond `max_size`, and nothing is left of a refused one.
    """
    path = directory / DATABASE_NAME
    with storage_errors(f"unpacking {archive.name}"):
        extractor = Extractor(path, max_size=max_size)
        try:
            with archive.open("rb", buffering=0) as source:
                while block := source.read(BLOCK_BYTES):
                    extractor.feed(block)
            return verified(extractor)
        except BaseException:
            extractor.close()
            path.unlink(missing_ok=True)
            raise


def verified(extractor: Extractor) -> Manifest:
    """End the extraction: the database's file is closed, and is what it should be."""
    found, text = extractor.finish()
    manifest = read_manifest(text)
    if manifest.files != (found,):
        raise SnapshotError(
            f"{DATABASE_NAME} is not what the manifest says: found {found}, expected "
            f"{manifest.files}; make a new snapshot"
        )
    return manifest


def read_manifest(text: bytes) -> Manifest:
    """Parse and check a manifest; raises SnapshotError."""
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
