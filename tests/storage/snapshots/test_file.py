"""The snapshot's file: what is packed comes back, and nothing else comes out."""

import random
import tarfile
import zlib
from pathlib import Path

import pytest

from nexus.errors import DiskFullError, SnapshotError, StorageError
from nexus.storage.snapshots.copier import DATABASE_NAME, MANIFEST_NAME
from nexus.storage.snapshots.extraction import FileManifest
from nexus.storage.snapshots.file import Manifest, extract, read_manifest
from storage.logs import file_size_limit
from storage.snapshotting import (
    MAX_SIZE,
    archive_of,
    contents,
    empty_manifest,
    honest,
    manifest_of,
    member,
    pack,
    tar_names,
)

DATA = random.Random(2).randbytes(300)


def packed(directory: Path, data: bytes = DATA, *, level: int = 3) -> Path:
    """An archive of a database of these bytes."""
    database, archive = directory / "source", directory / "archive"
    database.write_bytes(data)
    pack(database, archive, empty_manifest(), level=level)
    database.unlink()
    return archive


def into(directory: Path) -> Path:
    """An empty directory to extract into, two levels down."""
    found = directory / "a" / "into"
    found.mkdir(parents=True)
    return found


@pytest.mark.parametrize("level", [1, 3, 19])
@pytest.mark.parametrize("size", [1, 511, 512, 513, 3 << 20])
def test_what_was_packed_comes_back(tmp_path: Path, level: int, size: int) -> None:
    data = random.Random(size).randbytes(size)
    database, archive = tmp_path / "source", tmp_path / "archive"
    database.write_bytes(data)

    made = pack(database, archive, empty_manifest(), level=level)
    found = extract(archive, into(tmp_path), max_size=size)

    file = FileManifest(DATABASE_NAME, size, zlib.crc32(data))
    assert found == made
    assert made.files == (file,)
    assert (tmp_path / "a/into" / DATABASE_NAME).read_bytes() == data


def test_any_tar_reads_it(tmp_path: Path) -> None:
    assert tar_names(packed(tmp_path)) == [DATABASE_NAME, MANIFEST_NAME]


def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    archive = packed(tmp_path)
    whole = archive.read_bytes()
    spoiled, place = tmp_path / "spoiled", into(tmp_path)
    refused = 0

    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        spoiled.write_bytes(data)
        try:
            extract(spoiled, place, max_size=MAX_SIZE)
        except SnapshotError:
            refused += 1
            assert contents(place) == []
        else:
            assert (place / DATABASE_NAME).read_bytes() == DATA

    assert refused == len(whole) * 8, "the CRC-32 of the whole misses none"


def test_an_archive_cut_anywhere_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive = packed(tmp_path)
    whole = archive.read_bytes()
    place = into(tmp_path)

    for size in range(len(whole)):
        archive.write_bytes(whole[:size])
        with pytest.raises(SnapshotError):
            extract(archive, place, max_size=MAX_SIZE)
        assert contents(place) == []


DATABASE, MANIFEST = honest(DATA)
HOSTILE = {
    "an absolute path": [member("/nexus-evil", DATA), MANIFEST],
    "a path that climbs": [member("../../evil", DATA), MANIFEST],
    "a climb behind the database": [DATABASE, member("../evil", DATA)],
    "a symbolic link": [
        member(DATABASE_NAME, type=tarfile.SYMTYPE, linkname="../evil"),
        DATABASE,
        MANIFEST,
    ],
    "a hard link": [
        member(DATABASE_NAME, type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        MANIFEST,
    ],
    "a device": [
        member(DATABASE_NAME, type=tarfile.CHRTYPE, devmajor=1, devminor=8),
        MANIFEST,
    ],
    "the database twice": [DATABASE, DATABASE, MANIFEST],
    "the manifest twice": [DATABASE, MANIFEST, MANIFEST],
    "a bomb": [member(DATABASE_NAME, bytes(64 << 20)), MANIFEST],
    "a bomb whose size lies": [member(DATABASE_NAME, size=10), bytes(64 << 20)],
    "no database": [MANIFEST],
    "another database": [DATABASE, member(MANIFEST_NAME, manifest_of(DATA[1:]))],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_leaves_nothing_anywhere(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(archive_of(*HOSTILE[kind]))
    place = into(tmp_path)

    # Were anything written beyond this, the error would be one of the disk.
    with file_size_limit(1 << 20), pytest.raises(SnapshotError):
        extract(archive, place, max_size=1 << 20)

    assert contents(tmp_path) == ["archive"]
    assert not Path("/nexus-evil").exists()


MALFORMED = {
    "no JSON": (b"{", "malformed"),
    "a list": (b"[]", "malformed"),
    "no position": (b'{"format": 1, "cluster_id": "c"}', "malformed"),
    "a negative offset": (manifest_of(DATA, position=[3, -7, "h"]), "malformed"),
    "a later format": (manifest_of(DATA, format=2), "format 2, this version reads 1"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_manifest_that_cannot_be_read_is_refused(kind: str) -> None:
    text, reason = MALFORMED[kind]

    with pytest.raises(SnapshotError, match=reason):
        read_manifest(text)


@pytest.mark.parametrize(
    "file",
    [
        {"name": DATABASE_NAME, "size": len(DATA) + 1, "crc32": zlib.crc32(DATA)},
        {"name": DATABASE_NAME, "size": len(DATA), "crc32": zlib.crc32(DATA) ^ 1},
        {"name": "../nexus.db", "size": len(DATA), "crc32": zlib.crc32(DATA)},
    ],
)
def test_a_manifest_that_says_of_its_database_what_is_false_is_refused(
    tmp_path: Path, file: dict[str, object]
) -> None:
    archive, place = tmp_path / "archive", into(tmp_path)
    lying = member(MANIFEST_NAME, manifest_of(DATA, files=[file]))
    archive.write_bytes(archive_of(DATABASE, lying))

    with pytest.raises(SnapshotError, match="is not what the manifest says"):
        extract(archive, place, max_size=MAX_SIZE)

    assert contents(place) == []


def test_a_manifest_of_a_later_minor_version_is_read() -> None:
    found = read_manifest(manifest_of(DATA, invented="later"))

    assert isinstance(found, Manifest)
    assert found.position == empty_manifest().position


def test_a_database_that_takes_more_room_than_there_is_leaves_nothing(
    tmp_path: Path,
) -> None:
    archive = packed(tmp_path, bytes(1 << 20))
    place = into(tmp_path)

    with file_size_limit(1 << 19), pytest.raises(DiskFullError):
        extract(archive, place, max_size=MAX_SIZE)

    assert contents(place) == []


def test_an_archive_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        extract(tmp_path / "archive", into(tmp_path), max_size=MAX_SIZE)
