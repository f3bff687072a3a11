"""The format of a log file, bit by bit."""

import os
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.errors import CorruptLogError, StorageError
from nexus.model.entry import Record
from nexus.model.position import Epoch, Offset
from nexus.storage.log.segment import (
    FRAME,
    HEADER,
    Segment,
    encode_batch,
    frames,
    read_frames,
)
from storage.logs import batch, file_size_limit, flip, overwrite, record

NAME = "00000000000000000007.wal"
_RECORDS = st.builds(
    lambda first, parts: [
        Record(Epoch(epoch), Offset(first + index), payload)
        for index, (epoch, payload) in enumerate(parts)
    ],
    st.integers(1, 1 << 40),
    st.lists(
        st.tuples(st.integers(0, 1 << 63), st.binary(min_size=1, max_size=90)),
        min_size=1,
        max_size=12,
    ),
)


def decoded(data: bytes, salt: int, expected: int) -> list[Record]:
    return [
        Record(epoch, offset, data[at + FRAME.size : at + FRAME.size + length])
        for length, epoch, offset, at in frames(data, salt=salt, expected=expected)
        if length
    ]


def segment_with(directory: Path, *batches: list[Record]) -> Segment:
    path = directory / NAME
    Segment.create(path, Offset(7), size=8192)
    segment = Segment.load(path, every=64)
    fd, position = segment.open_for_writing(), HEADER.size
    for records in batches:
        durable = Offset(records[0].offset - 1)
        data = encode_batch(records, durable=durable, salt=segment.salt)
        os.pwrite(fd, data, position)
        position += len(data)
    os.close(fd)
    return segment


@given(records=_RECORDS, salt=st.integers(0, (1 << 32) - 1), tail=st.integers(0, 60))
def test_what_is_encoded_is_decoded(
    records: list[Record], salt: int, tail: int
) -> None:
    data = encode_batch(records, durable=Offset(5), salt=salt)

    # A salt under which zeros are valid is never chosen for a file.
    zeros = tail if crc32(bytes(20), salt) else 0
    assert decoded(data + bytes(zeros), salt, records[0].offset) == records


def test_the_format_is_the_documented_one() -> None:
    data = encode_batch(
        [Record(Epoch(2), Offset(9), b"pay")], durable=Offset(8), salt=0
    )

    mark = bytes(4) + crc32(bytes(4) + b"\x08" + bytes(15)).to_bytes(4, "little")
    place = b"\2" + bytes(7) + b"\x09" + bytes(7)
    length = b"\3\0\0\0"
    checksum = crc32(length + place + b"pay").to_bytes(4, "little")
    assert data == (
        mark + b"\x08" + bytes(7) + bytes(8) + length + checksum + place + b"pay"
    )


def test_a_flipped_bit_anywhere_ends_the_records_before_it() -> None:
    records = batch(7, 3)
    data = encode_batch(records, durable=Offset(6), salt=99)
    size = FRAME.size + len(records[0].payload)

    for byte in range(len(data)):
        for bit in range(8):
            spoiled = bytearray(data)
            spoiled[byte] ^= 1 << bit
            whole = max(0, (byte - FRAME.size) // size)
            assert decoded(bytes(spoiled), 99, 7) == records[:whole]


def test_records_cut_off_anywhere_are_not_decoded() -> None:
    records = batch(7, 3)
    data = encode_batch(records, durable=Offset(6), salt=99)
    size = FRAME.size + len(records[0].payload)

    for stop in range(len(data)):
        whole = max(0, (stop - FRAME.size) // size)
        assert decoded(data[:stop], 99, 7) == records[:whole]


def test_records_of_another_log_are_none_of_this_one() -> None:
    data = encode_batch(batch(7, 3), durable=Offset(6), salt=1)

    assert decoded(data, 2, 7) == []


def test_a_record_of_another_offset_is_not_the_next_one() -> None:
    data = encode_batch(batch(8, 1), durable=Offset(6), salt=1)

    assert decoded(data, 1, 7) == []


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([record(1), record(3)], "no gap"),
        ([Record(Epoch(1), Offset(1), b"")], "without payload"),
    ],
)
def test_a_batch_that_could_not_be_read_again_is_a_bug(
    records: list[Record], reason: str
) -> None:
    with pytest.raises(AssertionError, match=reason):
        encode_batch(records, durable=Offset(0), salt=0)


def test_a_frame_larger_than_asked_for_is_read_whole_but_never_past_the_limit(
    tmp_path: Path,
) -> None:
    data = encode_batch([record(7, 5_000)], durable=Offset(6), salt=0)[FRAME.size :]
    path = tmp_path / "file"
    path.write_bytes(data + b"behind")
    fd = os.open(path, os.O_RDONLY)

    assert read_frames(fd, 0, limit=len(data), want=1) == data
    assert len(read_frames(fd, 0, limit=len(data) - 1, want=1)) == FRAME.size
    assert read_frames(fd, 9_000, limit=8_000, want=100) == b""
    os.close(fd)


def test_a_new_file_is_empty_zeroed_and_its_own(tmp_path: Path) -> None:
    path = tmp_path / NAME
    Segment.create(path, Offset(7), size=8192)

    segment = Segment.load(path, every=64)
    assert (segment.first_offset, segment.size) == (7, 8192)
    assert path.read_bytes()[HEADER.size :] == bytes(8192 - HEADER.size)


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with file_size_limit(4096), pytest.raises(OSError, match="File too large"):
        Segment.create(tmp_path / NAME, Offset(7), size=8192)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("byte", range(HEADER.size))
def test_a_damaged_file_header_is_corruption_with_the_file_named(
    tmp_path: Path, byte: int
) -> None:
    segment = segment_with(tmp_path)
    flip(segment.path, byte)

    with pytest.raises(CorruptLogError, match=f"{NAME}.* byte 0"):
        Segment.load(segment.path, every=64)


@pytest.mark.parametrize("size", [0, 1, 31])
def test_a_file_header_cut_off_is_corruption(tmp_path: Path, size: int) -> None:
    segment = segment_with(tmp_path)
    os.truncate(segment.path, size)

    with pytest.raises(CorruptLogError, match=f"cut off at byte {size}"):
        Segment.load(segment.path, every=64)


def test_a_format_of_the_future_is_refused(tmp_path: Path) -> None:
    segment = segment_with(tmp_path)
    header = HEADER.pack(b"NEXUSWAL", 2, 5, 7, 0, 0)[:-4]
    overwrite(segment.path, 0, header + crc32(header).to_bytes(4, "little"))

    with pytest.raises(
        StorageError, match=r"log format 2 at byte 8, .* reads 1"
    ) as told:
        Segment.load(segment.path, every=64)

    assert not isinstance(told.value, CorruptLogError), "no replica begins anew for it"


def test_a_renamed_file_is_refused(tmp_path: Path) -> None:
    segment = segment_with(tmp_path)
    renamed = segment.path.rename(tmp_path / "00000000000000000008.wal")

    with pytest.raises(CorruptLogError, match="was it renamed"):
        Segment.load(renamed, every=64)


def test_a_place_is_found_from_any_side(tmp_path: Path) -> None:
    batches = [batch(7, 5), batch(12, 1), batch(13, 7, size=50)]
    segment = segment_with(tmp_path, *batches)
    again = Segment.load(segment.path, every=64)

    forward = [segment.end_after(offset) for offset in range(6, 20)]
    backward = [again.end_after(offset) for offset in range(19, 5, -1)]

    assert forward == backward[::-1]
    assert forward[0] == HEADER.size
    assert forward == sorted(set(forward))


def test_a_place_behind_a_damaged_record_is_corruption(tmp_path: Path) -> None:
    segment = segment_with(tmp_path, batch(7, 5))
    start = segment.end_after(8)
    flip(segment.path, start + 30)

    expected = f"{NAME}: entry 9, expected at byte {start},"
    with pytest.raises(CorruptLogError, match=expected):
        Segment.load(segment.path, every=64).end_after(10)


def test_what_is_cut_is_zero_and_what_stays_is_whole(tmp_path: Path) -> None:
    segment = segment_with(tmp_path, batch(7, 5), batch(12, 5))
    end = segment.end_after(9)
    kept = segment.path.read_bytes()[:end]
    fd = segment.open_for_writing()

    segment.cut(fd, 9, end)
    segment.extend(fd, 8192)
    os.close(fd)

    assert segment.path.read_bytes() == kept + bytes(8192 - end)
    assert segment.end_after(9) == end == segment.end
