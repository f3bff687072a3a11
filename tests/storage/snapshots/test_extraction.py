"""Archives that arrive in pieces, honest and hostile."""

import itertools
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from nexus.errors import SnapshotError
from nexus.storage.snapshots.copier import DATABASE_NAME, MANIFEST_NAME, trailer
from nexus.storage.snapshots.extraction import (
    END_BYTES,
    MANIFEST_BYTES,
    WINDOW_BYTES,
    Extractor,
    FileManifest,
)
from storage.logs import file_size_limit
from storage.snapshotting import archive_of, contents, honest, manifest_of, member

DATA = b"sqlite" * 1000
HONEST = archive_of(*honest(DATA))
DATABASE, MANIFEST = honest(DATA)


def extract(archive: bytes, path: Path, *, max_size: int = 1 << 20) -> bytes:
    extractor = Extractor(path, max_size=max_size)
    try:
        extractor.feed(archive)
        return extractor.finish()[1]
    finally:
        extractor.close()


@given(cuts=st.lists(st.integers(0, len(HONEST)), max_size=20))
def test_an_archive_cut_anywhere_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("cut") / "out"
    extractor = Extractor(path, max_size=len(DATA))
    places = [0, *sorted(cuts), len(HONEST)]

    for start, stop in itertools.pairwise(places):
        extractor.feed(HONEST[start:stop])
    facts, text = extractor.finish()

    assert path.read_bytes() == DATA
    assert facts == FileManifest(DATABASE_NAME, len(DATA), zlib.crc32(DATA))
    assert text == manifest_of(DATA)
    assert extractor.archive_crc32 == zlib.crc32(HONEST)


def test_every_byte_is_missed_when_an_archive_is_cut_short(tmp_path: Path) -> None:
    for size in range(len(HONEST)):
        with pytest.raises(SnapshotError, match=r"ends early|damaged or no snapshot"):
            extract(HONEST[:size], tmp_path / "out")


def test_a_bit_flipped_anywhere_is_refused(tmp_path: Path) -> None:
    for place in range(len(HONEST) * 8):
        spoiled = bytearray(HONEST)
        spoiled[place // 8] ^= 1 << place % 8
        with pytest.raises(SnapshotError):
            extract(bytes(spoiled), tmp_path / "out")


HOSTILE = {
    "an absolute path": ([member("/etc/passwd", DATA), MANIFEST], "'/etc/passwd'"),
    "a path that climbs": ([member("../nexus.db", DATA), MANIFEST], r"'\.\./nexus.db'"),
    "a path in disguise": ([member("./nexus.db", DATA), MANIFEST], r"'\./nexus.db'"),
    "a folder": ([member("x/nexus.db", DATA), MANIFEST], "'x/nexus.db'"),
    "another name": ([member("evil", DATA), MANIFEST], "'evil'"),
    "a symbolic link": (
        [member(DATABASE_NAME, type=tarfile.SYMTYPE, linkname="/etc/passwd"), MANIFEST],
        "type b'2'",
    ),
    "a hard link": (
        [member(DATABASE_NAME, type=tarfile.LNKTYPE, linkname="/etc/passwd"), MANIFEST],
        "type b'1'",
    ),
    "a device": ([member(DATABASE_NAME, type=tarfile.CHRTYPE), MANIFEST], "type b'3'"),
    "a block device": ([member(DATABASE_NAME, type=tarfile.BLKTYPE)], "type b'4'"),
    "a directory": ([member(DATABASE_NAME, type=tarfile.DIRTYPE)], "type b'5'"),
    "a pipe": ([member(DATABASE_NAME, type=tarfile.FIFOTYPE)], "type b'6'"),
    "a sparse file": (
        [member(DATABASE_NAME, DATA, type=tarfile.GNUTYPE_SPARSE), MANIFEST],
        "type b'S'",
    ),
    "a long name": (
        [member("././@LongLink", b"/etc/passwd", type=tarfile.GNUTYPE_LONGNAME)],
        "type b'L'",
    ),
    "extended headers": (
        [member("x", b"20 path=/etc/passwd\n", type=tarfile.XHDTYPE)],
        "type b'x'",
    ),
    "an extra file": ([DATABASE, member("evil", DATA), MANIFEST], "'evil'"),
    "an extra file behind": ([DATABASE, MANIFEST, member("evil", DATA)], "'evil'"),
    "the database twice": ([DATABASE, DATABASE, MANIFEST], "'nexus.db'"),
    "the manifest twice": ([DATABASE, MANIFEST, MANIFEST], "nothing more may stand"),
    "the manifest first": ([MANIFEST, DATABASE], "'manifest.json'"),
    "no manifest": ([DATABASE], "damaged or no snapshot"),
    "no database": ([], "damaged or no snapshot"),
    "an empty database": ([member(DATABASE_NAME), MANIFEST], "takes 0 bytes"),
    "a large manifest": (
        [DATABASE, member(MANIFEST_NAME, bytes(MANIFEST_BYTES + 1))],
        "the limit is 1048576",
    ),
    "no tar": ([b"hello" * 1000], "damaged or no snapshot"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_writes_nothing_outside(tmp_path: Path, kind: str) -> None:
    members, reason = HOSTILE[kind]
    into = tmp_path / "a" / "into"
    into.mkdir(parents=True)

    with pytest.raises(SnapshotError, match=reason):
        extract(archive_of(*members), into / "out")

    assert set(contents(tmp_path)) <= {"a/into/out"}
    assert (into / "out").stat().st_size <= len(DATA)


def test_a_name_that_is_no_text_is_refused_by_the_same_rule(tmp_path: Path) -> None:
    raw = bytearray(member("nexus.db", DATA))
    raw[0:1] = b"\xff"
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + sum(raw[156:512]) + 8 * 32)

    with pytest.raises(SnapshotError, match="may stand"):
        extract(archive_of(bytes(raw), MANIFEST), tmp_path / "out")


def test_a_declared_size_over_the_limit_is_refused_before_a_byte_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(SnapshotError, match="takes 6000 bytes, the limit is 5999"):
        extract(HONEST, tmp_path / "out", max_size=5999)

    assert (tmp_path / "out").stat().st_size == 0


def test_a_negative_size_is_refused_like_a_large_one(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="takes -5 bytes"):
        extract(archive_of(member(DATABASE_NAME, size=-5)), tmp_path / "out")


def test_a_bomb_whose_declared_size_lies_writes_no_more_than_declared(
    tmp_path: Path,
) -> None:
    bomb = archive_of(member(DATABASE_NAME, size=4096), bytes(50 << 20))

    with pytest.raises(SnapshotError):
        extract(bomb, tmp_path / "out")

    assert (tmp_path / "out").stat().st_size <= 4096


def test_zeros_without_end_behind_the_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="goes on behind"):
        extract(
            archive_of(DATABASE, MANIFEST, end=bytes(END_BYTES + 2048)),
            tmp_path / "out",
        )


def test_a_bomb_in_one_chunk_takes_little_memory(tmp_path: Path) -> None:
    bomb = archive_of(member(DATABASE_NAME, bytes(200 << 20)))
    assert len(bomb) < 1 << 20

    tracemalloc.start()
    with pytest.raises(SnapshotError, match="damaged or no snapshot"):
        extract(bomb, tmp_path / "out", max_size=1 << 30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 16 << 20


def test_an_archive_that_wants_a_large_window_is_refused(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    stream = compressor.compressobj()
    packed = stream.compress(DATABASE + MANIFEST + bytes(1024)) + stream.flush()
    assert WINDOW_BYTES < 1 << 27

    with pytest.raises(SnapshotError, match="too much memory"):
        extract(packed + trailer(zlib.crc32(packed)), tmp_path / "out")


def test_a_disk_that_is_full_is_an_error_of_the_disk(tmp_path: Path) -> None:
    extractor = Extractor(tmp_path / "out", max_size=1 << 20)

    with file_size_limit(1000), pytest.raises(OSError, match="File too large"):
        extractor.feed(HONEST)
    extractor.close()
