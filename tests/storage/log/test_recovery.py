"""The log's end after a crash: torn, or spoiled."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.errors import CorruptLogError
from nexus.model.entry import Record
from nexus.model.position import Epoch, Offset
from nexus.storage.log.segment import encode_batch
from nexus.storage.wal import WriteAheadLog
from storage.logs import (
    ROOMY,
    SMALL,
    all_of,
    batch,
    flip,
    only_file,
    overwrite,
    record,
    record_starts,
)

LAST = 12
PAYLOAD = 20


@pytest.fixture
def log_directory(tmp_path: Path) -> Path:
    """Entries 1 to 8 are durable by a mark; 9 to 12 are the last batch."""
    directory = tmp_path / "wal"
    log = WriteAheadLog.open(directory, SMALL)
    log.append(batch(1, 3))
    log.append(batch(4, 5))
    log.sync()
    log.append(batch(9, 4))
    log.close()
    return directory


def reopened(directory: Path, watermark: int = 0) -> WriteAheadLog:
    return WriteAheadLog.open(directory, SMALL, watermark=Offset(watermark))


def zeros_behind(directory: Path, log: WriteAheadLog) -> bool:
    path = only_file(directory)
    end = record_starts(path, log.last_offset)[log.last_offset + 1]
    data = path.read_bytes()
    return len(data) == SMALL.segment_bytes and not any(data[end:])


def test_a_log_cut_at_every_byte_of_its_last_records_keeps_a_valid_prefix(
    log_directory: Path, tmp_path: Path
) -> None:
    starts = record_starts(only_file(log_directory), LAST)
    mark = starts[9] - 24
    for cut in range(mark, starts[13]):
        copy = shutil.copytree(log_directory, tmp_path / "copy")
        overwrite(only_file(copy), cut, bytes(starts[13] - cut))

        log = reopened(copy)
        kept = max(
            offset
            for offset in range(8, 13)
            if starts[offset + 1] <= cut or offset == 8
        )

        assert all_of(log) == batch(1, kept)
        assert log.durable_offset == kept
        assert zeros_behind(copy, log)
        log.append(batch(kept + 1, 2, epoch=4))
        log.close()
        log = reopened(copy)
        assert all_of(log) == batch(1, kept) + batch(kept + 1, 2, epoch=4)
        log.close()
        shutil.rmtree(copy)


def test_a_file_cut_short_at_every_byte_of_its_last_records_keeps_a_valid_prefix(
    log_directory: Path, tmp_path: Path
) -> None:
    starts = record_starts(only_file(log_directory), LAST)
    for cut in range(starts[9] - 24, starts[13]):
        copy = shutil.copytree(log_directory, tmp_path / "copy")
        os.truncate(only_file(copy), cut)

        log = reopened(copy)
        assert all_of(log) == batch(1, log.last_offset)
        assert log.last_offset >= 8
        assert zeros_behind(copy, log)
        log.close()
        shutil.rmtree(copy)


@pytest.mark.parametrize("torn", [9, 10, 11])
@pytest.mark.parametrize("how", ["zeroed", "flipped"])
def test_whole_records_behind_a_torn_one_are_cut_and_zeroed(
    log_directory: Path, torn: int, how: str
) -> None:
    path = only_file(log_directory)
    starts = record_starts(path, LAST)
    if how == "zeroed":
        overwrite(path, starts[torn], bytes(starts[torn + 1] - starts[torn]))
    else:
        flip(path, starts[torn] + 30)

    log = reopened(log_directory)

    assert log.last_offset == torn - 1
    assert log.torn_bytes > 0
    assert zeros_behind(log_directory, log)
    log.append(batch(torn, 1, epoch=4))
    assert all_of(log) == batch(1, torn - 1) + batch(torn, 1, epoch=4)
    log.close()


def test_a_mark_that_no_record_follows_is_cut(log_directory: Path) -> None:
    path = only_file(log_directory)
    starts = record_starts(path, LAST)
    overwrite(path, starts[9], bytes(starts[13] - starts[9]))

    log = reopened(log_directory)

    assert (log.last_offset, log.torn_bytes) == (8, 9)
    assert zeros_behind(log_directory, log)
    log.close()


@pytest.mark.parametrize("offset", [1, 3, 4, 8])
@pytest.mark.parametrize(
    ("region", "byte"),
    [
        ("length", 0),
        ("length", 3),
        ("crc", 4),
        ("epoch", 8),
        ("offset", 16),
        ("payload", 24),
        ("payload", 24 + PAYLOAD - 1),
    ],
)
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_in_a_durable_record_is_corruption(
    log_directory: Path, offset: int, region: str, byte: int, bit: int
) -> None:
    path = only_file(log_directory)
    start = record_starts(path, LAST)[offset]
    flip(path, start + byte, bit)
    before = path.read_bytes()

    expected = f"{path.name}: entry {offset}, expected at byte {start},"
    with pytest.raises(CorruptLogError, match=expected):
        reopened(log_directory)
    assert path.read_bytes() == before, region


def test_a_flipped_bit_in_a_durable_mark_is_corruption(log_directory: Path) -> None:
    path = only_file(log_directory)
    mark = record_starts(path, LAST)[4] - 24
    flip(path, mark + 9)

    with pytest.raises(CorruptLogError, match=f"entry 4, expected at byte {mark},"):
        reopened(log_directory)


def test_a_mark_proves_corruption_even_where_no_record_follows_it(
    log_directory: Path,
) -> None:
    path = only_file(log_directory)
    starts = record_starts(path, LAST)
    overwrite(path, starts[9], bytes(starts[13] - starts[9]))
    flip(path, starts[8] + 24)

    with pytest.raises(CorruptLogError, match=f"entry 8, .* byte {starts[8]},"):
        reopened(log_directory)


def test_the_place_of_a_torn_large_record_is_used_again(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.append([record(1, 600)])
    log.append([record(2, 600)])
    log.close()
    path = only_file(tmp_path)
    flip(path, len(path.read_bytes().rstrip(b"\0")) - 1)

    log = reopened(tmp_path)
    log.append([record(2, 500, epoch=4)])

    cursor = log.cursor(Offset(2))
    assert cursor.read(Offset(3), 1) == [record(2, 500, epoch=4)]
    cursor.close()
    log.close()


def test_durable_records_that_read_as_zeros_are_corruption(log_directory: Path) -> None:
    path = only_file(log_directory)
    starts = record_starts(path, LAST)
    overwrite(path, starts[2], bytes(starts[7] - starts[2]))

    with pytest.raises(CorruptLogError, match=f"entry 2, .* byte {starts[2]},"):
        reopened(log_directory)


def test_the_watermark_makes_corruption_of_what_looks_torn(
    log_directory: Path,
) -> None:
    path = only_file(log_directory)
    start = record_starts(path, LAST)[11]
    flip(path, start + 24)

    with pytest.raises(
        CorruptLogError, match=f"{path.name}.* 10 at byte {start}, .* 11"
    ):
        reopened(log_directory, watermark=11)
    log = reopened(log_directory, watermark=10)
    assert log.last_offset == 10
    log.close()


def test_a_log_that_ends_before_the_watermark_is_corruption(
    log_directory: Path,
) -> None:
    with pytest.raises(CorruptLogError, match="entry 13 was durable"):
        reopened(log_directory, watermark=13)


def test_an_empty_directory_below_a_watermark_is_corruption(tmp_path: Path) -> None:
    with pytest.raises(CorruptLogError, match="entry 5 was durable"):
        reopened(tmp_path / "wal", watermark=5)


def test_a_clean_log_is_opened_as_it_stands(log_directory: Path) -> None:
    before = only_file(log_directory).read_bytes()

    log = reopened(log_directory, watermark=12)

    assert (log.last_offset, log.durable_offset, log.torn_bytes) == (12, 12, 0)
    assert only_file(log_directory).read_bytes() == before
    log.close()


def test_marks_of_another_log_inside_a_torn_row_prove_nothing(tmp_path: Path) -> None:
    foreign = encode_batch(batch(3, 2), durable=Offset(2), salt=1) * 3
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.append(batch(1, 1))
    log.sync()
    log.append([Record(Epoch(3), Offset(2), foreign), record(3)])
    log.close()
    start = record_starts(only_file(tmp_path), 1)[2] + 24
    flip(only_file(tmp_path), start + 5)

    log = reopened(tmp_path)

    assert log.last_offset == 1
    log.close()


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8),
    synced=st.integers(0, 8),
    damage=st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=6),
)
def test_any_damage_behind_the_last_sync_leaves_a_prefix_and_no_error(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    synced: int,
    damage: list[tuple[float, bool]],
) -> None:
    directory = tmp_path_factory.mktemp("log")
    log = WriteAheadLog.open(directory, ROOMY)
    records = [record(index + 1, size) for index, size in enumerate(sizes)]
    synced = min(synced, len(records))
    log.append(records[:synced])
    log.sync()
    for one in records[synced:]:
        log.append([one])
    log.close()
    path = only_file(directory)
    data = path.read_bytes().rstrip(b"\0")
    durable_end = 32 + (24 if synced else 0) + sum(24 + s for s in sizes[:synced])
    for where, zero in damage:
        position = durable_end + int(where * (len(data) - durable_end))
        overwrite(path, position, bytes(16) if zero else b"\x5a")

    log = WriteAheadLog.open(directory, ROOMY, watermark=Offset(synced))

    assert synced <= log.last_offset <= len(records)
    assert all_of(log) == records[: log.last_offset]
    log.close()
    shutil.rmtree(directory)
