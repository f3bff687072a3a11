"""A run's bytes: read back as they were written, or refused by name."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.archive.names import ReignName, RunName
from nexus.archive.runs import Run, pack_run
from nexus.errors import ArchiveIncompleteError
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.position import Epoch, HistoryId, Offset

REIGN = ReignName("c1", Epoch(3), HistoryId("9f86"))


def entry(offset: int, time_us: int, text: str = "") -> Record:
    payload = encode_payload(Payload(time_us, text, b"", ()))
    return Record(Epoch(3), Offset(offset), payload)


@given(
    st.integers(1, 1 << 40),
    st.lists(st.tuples(st.integers(0, 1 << 60), st.text()), min_size=1, max_size=30),
)
def test_a_run_reads_back_as_it_was_packed(
    first: int, entries: list[tuple[int, str]]
) -> None:
    records = [
        entry(offset, time_us, text)
        for offset, (time_us, text) in enumerate(entries, first)
    ]

    name, data = pack_run(REIGN, records, level=1)

    run = Run(name, data)
    assert list(run.records()) == records
    assert name == RunName(
        REIGN, Offset(first), records[-1].offset, min(time for time, _ in entries)
    )
    assert run.header.latest_us == max(time for time, _ in entries)


def test_an_entry_larger_than_what_is_read_at_once_comes_whole() -> None:
    records = [entry(1, 5, "x" * 5_000_000), entry(2, 6), entry(3, 7, "y" * 1_048_570)]

    name, data = pack_run(REIGN, records, level=1)

    assert list(Run(name, data).records()) == records


NAME, DATA = pack_run(REIGN, [entry(7, 1), entry(8, 2)], level=1)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_and_the_object_named(at: int, change: int) -> None:
    spoiled = bytearray(DATA)
    spoiled[at] ^= change

    with pytest.raises(ArchiveIncompleteError, match=str(NAME)):
        Run(NAME, bytes(spoiled))


@given(st.integers(0, len(DATA) - 1))
def test_a_truncated_run_is_refused_and_the_object_named(length: int) -> None:
    with pytest.raises(ArchiveIncompleteError, match=str(NAME)):
        Run(NAME, DATA[:length])


def sealed(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def test_a_run_under_another_name_is_refused() -> None:
    other = RunName(REIGN, Offset(8), Offset(9), 1)

    with pytest.raises(ArchiveIncompleteError, match="it says that it is"):
        Run(other, DATA)


def test_what_is_no_run_is_refused_even_with_a_right_checksum() -> None:
    for spoiled, complaint in [
        (b"SOMETHIN" + DATA[8:-4], "no run of entries"),
        (DATA[:8] + b"\xff\xff\xff\xff" + DATA[12:-4], "no run of entries"),
        (DATA[:12] + b"\xc1" + DATA[13:-4], "header is malformed"),
        (DATA[:13] + b"\x02" + DATA[14:-4], "format 2, this version reads 1"),
    ]:
        with pytest.raises(ArchiveIncompleteError, match=complaint):
            Run(NAME, sealed(spoiled))


def test_entries_that_do_not_add_up_are_refused_when_they_are_read() -> None:
    whole, one = pack_run(REIGN, [entry(7, 1)], level=1)
    header_end = DATA.index(b"\x28\xb5\x2f\xfd")  # where zstd's frame begins
    short = DATA[:header_end] + one[one.index(b"\x28\xb5\x2f\xfd") : -4]

    with pytest.raises(ArchiveIncompleteError, match="it ends with entry 7"):
        list(Run(NAME, sealed(short)).records())
    with pytest.raises(ArchiveIncompleteError, match="cannot be unpacked"):
        list(Run(NAME, sealed(DATA[:header_end] + b"not zstd")).records())
    assert whole.first == whole.last
