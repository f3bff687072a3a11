"""Large entries: cut, compressed, joined again, and never believed blindly."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nexus.errors import ProtocolError
from nexus.model.entry import Record
from nexus.model.position import Epoch, HistoryId, Offset
from nexus.protocol.messages import WalEntry
from nexus.protocol.parts import EntryAssembler, split_entry

HISTORY = HistoryId("9f86d081")
COMMIT = Offset(41)


def record(payload: bytes, offset: int = 42) -> Record:
    return Record(Epoch(3), Offset(offset), payload)


def cut(payload: bytes, part_bytes: int, *, compress: bool = False) -> list[WalEntry]:
    return split_entry(
        record(payload), HISTORY, COMMIT, part_bytes=part_bytes, compress=compress
    )


def compressed(data: bytes) -> WalEntry:
    return WalEntry(Offset(42), Epoch(3), HISTORY, COMMIT, data, compressed=True)


def refusal(assembler: EntryAssembler, entry: WalEntry) -> str:
    with pytest.raises(ProtocolError) as caught:
        assembler.add(entry)
    return str(caught.value)


@given(st.binary(min_size=1, max_size=9000), st.integers(100, 9000), st.booleans())
def test_an_entry_cut_anywhere_is_joined_to_the_same(
    payload: bytes,
    part_bytes: int,
    compress: bool,  # noqa: FBT001 - drawn
) -> None:
    assembler = EntryAssembler()

    joined = [
        assembler.add(part) for part in cut(payload, part_bytes, compress=compress)
    ]

    assert joined == [None] * (len(joined) - 1) + [record(payload)]


def test_a_small_entry_goes_as_it_is() -> None:
    (entry,) = split_entry(record(b"rows"), HISTORY, COMMIT)

    assert entry == WalEntry(Offset(42), Epoch(3), HISTORY, COMMIT, b"rows")


def test_a_large_entry_is_compressed_where_that_helps() -> None:
    (entry,) = split_entry(record(b"rows" * 5000), HISTORY, COMMIT)

    assert entry.compressed
    assert len(entry.entry) < 1000
    assert EntryAssembler().add(entry) == record(b"rows" * 5000)


def test_what_does_not_get_smaller_is_not_compressed() -> None:
    (entry,) = split_entry(record(_noise(8192)), HISTORY, COMMIT)

    assert not entry.compressed
    assert entry.entry == _noise(8192)


def _noise(size: int) -> bytes:
    """Bytes without a pattern, the same each time."""
    state, out = 1, bytearray()
    while len(out) < size:
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        out += (state >> 32).to_bytes(4, "little")
    return bytes(out)


def test_a_peer_that_knows_no_compression_gets_none() -> None:
    (entry,) = split_entry(record(b"rows" * 5000), HISTORY, COMMIT, compress=False)

    assert entry.entry == b"rows" * 5000


def test_parts_come_in_order_of_one_entry() -> None:
    first, second, third = cut(b"abcdef", 2)

    assembler = EntryAssembler()
    assembler.add(first)
    assert refusal(assembler, third) == (
        "part 2 of 3 of entry 42 came where part 1 of 3 of entry 42 was due"
    )
    assert refusal(EntryAssembler(), second) == (
        "part 1 of 3 of entry 42 came where part 0 of 3 of entry 42 was due"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"offset": 43},
        {"epoch": 4},
        {"history_id": "other"},
        {"parts": 2},
        {"compressed": True},
        {"part": 0},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_part_of_another_entry_does_not_get_in(changed: dict[str, object]) -> None:
    first, second, _ = cut(b"abcdef", 2)
    assembler = EntryAssembler()
    assembler.add(first)

    assert "was due" in refusal(assembler, replace(second, **changed))


def test_the_commit_offset_may_advance_between_parts() -> None:
    first, second = cut(b"abcd", 2)
    assembler = EntryAssembler()
    assembler.add(first)

    later = replace(second, commit_offset=Offset(99))

    assert assembler.add(later) == record(b"abcd")


def test_an_only_part_has_number_0_and_an_entry_has_a_part() -> None:
    (entry,) = cut(b"abcd", 10)

    assert "was due" in refusal(EntryAssembler(), replace(entry, part=1))
    assert refusal(EntryAssembler(), replace(entry, parts=0)) == (
        "entry 42 comes in 0 parts; it has at least one"
    )


def test_an_empty_part_does_not_get_in() -> None:
    first, second = cut(b"abcd", 2)
    assembler = EntryAssembler()
    assembler.add(first)

    said = refusal(assembler, replace(second, entry=b""))

    assert said == "part 1 of 2 of entry 42 is empty"


def test_parts_that_grow_over_the_limit_are_refused() -> None:
    first, second = cut(b"abcdef", 4)
    assembler = EntryAssembler(max_entry_bytes=5)
    assembler.add(first)

    said = refusal(assembler, second)

    assert said == "entry 42 takes 6 bytes or more, the limit is 5"


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    (bomb,) = split_entry(record(bytes(10_000_000)), HISTORY, COMMIT)

    said = refusal(EntryAssembler(max_entry_bytes=1_000_000), bomb)

    assert said == "entry 42 takes 10000000 bytes or more, the limit is 1000000"


def test_a_bomb_that_lies_of_its_size_is_refused() -> None:
    packed = bytearray(zstandard.compress(bytes(1_000_000), 1))
    declared = packed.index((1_000_000).to_bytes(4, "little"))
    packed[declared : declared + 4] = (1000).to_bytes(4, "little")
    entry = compressed(bytes(packed))

    assert "entry 42 cannot be decompressed" in refusal(EntryAssembler(), entry)


def test_a_compressed_entry_must_say_how_large_it_is() -> None:
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 99)
    entry = compressed(silent)

    said = refusal(EntryAssembler(), entry)

    assert said == "entry 42 is compressed without saying how large it is"


@given(st.binary(max_size=100))
def test_bytes_that_are_not_compressed_are_refused(data: bytes) -> None:
    entry = compressed(data)

    assert "entry 42" in refusal(EntryAssembler(), entry)


def test_bytes_behind_the_compressed_ones_are_refused() -> None:
    packed = zstandard.compress(b"x" * 99, 1) + b"more"
    entry = compressed(packed)

    assert "cannot be decompressed" in refusal(EntryAssembler(), entry)


def test_after_a_reset_the_next_entry_begins_anew() -> None:
    first, _ = cut(b"abcd", 2)
    assembler = EntryAssembler()
    assembler.add(first)

    assembler.reset()

    assert assembler.add(cut(b"xy", 9)[0]) == record(b"xy")


def test_an_entry_without_bytes_is_refused_as_no_log_can_keep_it() -> None:
    assert (
        refusal(EntryAssembler(), cut(b"", 9)[0]) == "part 0 of 1 of entry 42 is empty"
    )
    assert refusal(EntryAssembler(), compressed(zstandard.compress(b"", 1))) == (
        "entry 42 is compressed without saying how large it is"
    )
