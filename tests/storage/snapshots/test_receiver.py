"""Snapshots that arrive in chunks: kept, checked, resumed."""

import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from nexus.errors import DiskFullError, SnapshotError
from nexus.model.position import ORIGIN
from nexus.protocol.messages import SnapshotChunk, SnapshotMeta
from nexus.storage.snapshots import receiver as receiver_module
from nexus.storage.snapshots.copier import MANIFEST_NAME
from nexus.storage.snapshots.receiver import SnapshotReceiver
from storage.logs import file_size_limit, flip
from storage.snapshotting import MAX_SIZE, archive_of, contents, honest, member, meta_of

DATA = random.Random(1).randbytes(1500)
CHUNK_BYTES = 100


@dataclass(frozen=True)
class Sent:
    """An archive as a master announces and sends it."""

    archive: bytes
    meta: SnapshotMeta

    def chunk(self, index: int) -> SnapshotChunk:
        data = self.archive[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        return SnapshotChunk(self.meta.snapshot_id, index, data, zlib.crc32(data))


def sent(data: bytes = DATA, *, snapshot_id: str = "s") -> Sent:
    archive = archive_of(*honest(data))
    meta = meta_of(archive, chunk_bytes=CHUNK_BYTES)
    return Sent(archive, msgspec.structs.replace(meta, snapshot_id=snapshot_id))


class Receiving(Protocol):
    """Opens a receiver, as a node does at its start."""

    def __call__(
        self, directory: Path, *, max_size: int = MAX_SIZE
    ) -> SnapshotReceiver: ...


@pytest.fixture
def receiving() -> Iterator[Receiving]:
    """Receivers that are closed in the end."""
    with ExitStack() as stack:

        def open_receiver(
            directory: Path, *, max_size: int = MAX_SIZE
        ) -> SnapshotReceiver:
            receiver = SnapshotReceiver(directory, max_size=max_size)
            stack.callback(receiver.close)
            return receiver

        yield open_receiver


def take(receiver: SnapshotReceiver, whole: Sent, start: int, stop: int) -> None:
    for index in range(start, stop):
        receiver.add(whole.chunk(index))


def begun(receiver: SnapshotReceiver, chunks: int) -> SnapshotReceiver:
    """The same one, with so many chunks of WHOLE."""
    receiver.begin(WHOLE.meta)
    take(receiver, WHOLE, 0, chunks)
    return receiver


WHOLE = sent()
COUNT = WHOLE.meta.chunk_count
assert COUNT > 15, "these tests cut it in many places"


def test_all_chunks_make_the_verified_copy_and_nothing_else_stays(
    tmp_path: Path,
    receiving: Receiving,
) -> None:
    receiver = receiving(tmp_path)

    assert receiver.begin(WHOLE.meta) == 0
    take(receiver, WHOLE, 0, COUNT)
    copy = receiver.finish()

    assert copy.read_bytes() == DATA
    assert contents(tmp_path) == ["incoming/manifest.json", "incoming/nexus.db"]
    assert (copy.parent / MANIFEST_NAME).exists()
    assert receiver.pending() is None
    assert receiving(tmp_path).pending() is None


@pytest.mark.parametrize("stop", range(1, COUNT + 1))
def test_a_transfer_goes_on_after_a_restart_at_any_chunk(
    tmp_path: Path, receiving: Receiving, stop: int
) -> None:
    begun(receiving(tmp_path), stop).close()

    receiver = receiving(tmp_path)
    pending = receiver.pending()
    # The last chunk is shorter than the others: it is asked for again.
    expected = min(stop, COUNT - 1)
    assert pending == ("s", expected)
    assert receiver.begin(WHOLE.meta, expected) == expected
    take(receiver, WHOLE, expected, COUNT)

    assert receiver.finish().read_bytes() == DATA


def test_a_chunk_that_a_crash_cut_short_is_asked_for_again(
    tmp_path: Path, receiving: Receiving
) -> None:
    begun(receiving(tmp_path), 4).close()
    part = tmp_path / "incoming" / "archive.part"
    with part.open("r+b") as file:
        file.truncate(4 * CHUNK_BYTES - 1)

    receiver = receiving(tmp_path)

    assert receiver.pending() == ("s", 3)
    assert receiver.begin(WHOLE.meta, 3) == 3
    take(receiver, WHOLE, 3, COUNT)
    assert receiver.finish().read_bytes() == DATA


def test_within_one_process_a_transfer_goes_on_without_reading_it_again(
    tmp_path: Path,
    receiving: Receiving,
) -> None:
    receiver = begun(receiving(tmp_path), 5)

    assert receiver.pending() == ("s", 5)
    assert receiver.begin(WHOLE.meta, 5) == 5
    take(receiver, WHOLE, 5, COUNT)

    assert receiver.finish().read_bytes() == DATA


def test_a_transfer_may_go_on_at_an_earlier_chunk(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = begun(receiving(tmp_path), 5)

    assert receiver.begin(WHOLE.meta, 2) == 2
    take(receiver, WHOLE, 2, COUNT)

    assert receiver.finish().read_bytes() == DATA


def test_more_than_is_here_begins_anew(tmp_path: Path, receiving: Receiving) -> None:
    receiver = begun(receiving(tmp_path), 3)

    assert receiver.begin(WHOLE.meta, 4) == 0
    take(receiver, WHOLE, 0, COUNT)

    assert receiver.finish().read_bytes() == DATA


def test_chunks_that_a_power_cut_spoiled_begin_anew(
    tmp_path: Path, receiving: Receiving
) -> None:
    begun(receiving(tmp_path), 5).close()
    flip(tmp_path / "incoming" / "archive.part", 0)

    receiver = receiving(tmp_path)

    assert receiver.pending() == ("s", 5)
    assert receiver.begin(WHOLE.meta, 5) == 0
    take(receiver, WHOLE, 0, COUNT)
    assert receiver.finish().read_bytes() == DATA


@pytest.mark.parametrize("spoiled", [b"", b"{", b'{"meta": 3}'])
def test_notes_that_a_crash_cut_short_are_no_transfer(
    tmp_path: Path, receiving: Receiving, spoiled: bytes
) -> None:
    begun(receiving(tmp_path), 5).close()
    (tmp_path / "incoming" / "begun.json").write_bytes(spoiled)

    receiver = receiving(tmp_path)

    assert receiver.pending() is None
    assert receiver.begin(WHOLE.meta, 5) == 0


def test_a_damaged_chunk_is_refused_and_the_good_one_taken(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = begun(receiving(tmp_path), 2)
    good = WHOLE.chunk(2)
    for place in range(len(good.data)):
        data = bytearray(good.data)
        data[place] ^= 1
        with pytest.raises(SnapshotError, match="damaged"):
            receiver.add(msgspec.structs.replace(good, data=bytes(data)))

    take(receiver, WHOLE, 2, COUNT)

    assert receiver.finish().read_bytes() == DATA


@pytest.mark.parametrize("index", [0, 1, 3, COUNT - 1])
def test_a_chunk_out_of_order_is_refused_and_harmless(
    tmp_path: Path, receiving: Receiving, index: int
) -> None:
    receiver = begun(receiving(tmp_path), 2)

    with pytest.raises(SnapshotError, match="not chunk 2"):
        receiver.add(WHOLE.chunk(index))

    take(receiver, WHOLE, 2, COUNT)
    assert receiver.finish().read_bytes() == DATA


def test_a_chunk_of_another_snapshot_is_refused_and_harmless(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = begun(receiving(tmp_path), 2)

    with pytest.raises(SnapshotError, match="of snapshot other"):
        receiver.add(sent(snapshot_id="other").chunk(2))

    assert receiver.pending() == ("s", 2)


def test_a_chunk_before_any_snapshot_is_refused(
    tmp_path: Path, receiving: Receiving
) -> None:
    with pytest.raises(SnapshotError, match="not chunk 0"):
        receiving(tmp_path).add(WHOLE.chunk(0))

    assert contents(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES + 1, 1 << 20])
def test_a_chunk_of_another_size_is_refused(
    tmp_path: Path, receiving: Receiving, size: int
) -> None:
    receiver = begun(receiving(tmp_path), 2)
    data = bytes(size)

    with pytest.raises(SnapshotError, match=f"has {size} bytes instead of 100"):
        receiver.add(SnapshotChunk("s", 2, data, zlib.crc32(data)))

    assert (tmp_path / "incoming" / "archive.part").stat().st_size == 2 * CHUNK_BYTES


def test_a_first_chunk_of_more_than_the_whole_is_refused(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = receiving(tmp_path)
    receiver.begin(WHOLE.meta)
    data = bytes(WHOLE.meta.total_size + 1)

    with pytest.raises(SnapshotError, match="bytes instead of"):
        receiver.add(SnapshotChunk("s", 0, data, zlib.crc32(data)))

    assert (tmp_path / "incoming" / "archive.part").stat().st_size == 0


def test_another_snapshot_drops_the_one_that_had_begun(
    tmp_path: Path, receiving: Receiving
) -> None:
    other = sent(bytes(5000), snapshot_id="other")
    receiver = begun(receiving(tmp_path), 5)

    assert receiver.begin(other.meta) == 0
    take(receiver, other, 0, other.meta.chunk_count)

    assert receiver.finish().read_bytes() == bytes(5000)


def test_another_snapshot_under_the_same_id_does_not_go_on(
    tmp_path: Path, receiving: Receiving
) -> None:
    other = sent(DATA[::-1])
    begun(receiving(tmp_path), 5).close()

    assert receiving(tmp_path).begin(other.meta, 5) == 0


FALSE_META: dict[str, tuple[dict[str, Any], str]] = {
    "the whole's CRC-32": ({"crc32": WHOLE.meta.crc32 ^ 1}, "did not arrive whole"),
    "another position": (
        {"position": meta_of(WHOLE.archive, at=8).position},
        "announced was 3:8@h",
    ),
}


@pytest.mark.parametrize("kind", FALSE_META)
def test_a_snapshot_that_is_not_the_announced_one_leaves_nothing(
    tmp_path: Path, receiving: Receiving, kind: str
) -> None:
    fields, reason = FALSE_META[kind]
    receiver = receiving(tmp_path)
    receiver.begin(msgspec.structs.replace(WHOLE.meta, **fields))
    take(receiver, WHOLE, 0, COUNT)

    with pytest.raises(SnapshotError, match=reason):
        receiver.finish()

    assert contents(tmp_path) == []
    assert receiver.pending() is None


def test_a_position_that_was_not_announced_is_read_from_the_snapshot(
    tmp_path: Path,
    receiving: Receiving,
) -> None:
    receiver = receiving(tmp_path)
    receiver.begin(msgspec.structs.replace(WHOLE.meta, position=ORIGIN))
    take(receiver, WHOLE, 0, COUNT)

    assert receiver.finish().read_bytes() == DATA


def test_an_end_before_the_last_chunk_is_refused(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = begun(receiving(tmp_path), COUNT - 1)

    with pytest.raises(SnapshotError, match="did not arrive whole"):
        receiver.finish()


def test_a_hostile_archive_is_dropped_at_the_chunk_that_shows_it(
    tmp_path: Path,
    receiving: Receiving,
) -> None:
    archive = archive_of(member("../../evil", DATA))
    hostile = Sent(archive, meta_of(archive, chunk_bytes=CHUNK_BYTES))
    receiver = receiving(tmp_path / "data")
    receiver.begin(hostile.meta)

    with pytest.raises(SnapshotError, match="evil"):
        take(receiver, hostile, 0, hostile.meta.chunk_count)

    assert contents(tmp_path) == []
    assert receiver.pending() is None


def test_a_database_over_the_limit_is_dropped(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = receiving(tmp_path, max_size=len(DATA) - 1)
    receiver.begin(WHOLE.meta)

    with pytest.raises(SnapshotError, match=r"snapshot\.max_size"):
        take(receiver, WHOLE, 0, COUNT)

    assert contents(tmp_path) == []


def test_a_disk_that_fills_up_gives_the_space_back(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = receiving(tmp_path)
    receiver.begin(WHOLE.meta)

    with file_size_limit(1000), pytest.raises(DiskFullError, match="free some space"):
        take(receiver, WHOLE, 0, COUNT)

    assert contents(tmp_path) == []
    assert receiver.begin(WHOLE.meta) == 0
    take(receiver, WHOLE, 0, COUNT)
    assert receiver.finish().read_bytes() == DATA


def test_a_disk_that_is_full_at_the_very_end_costs_no_second_transfer(
    tmp_path: Path,
    receiving: Receiving,
) -> None:
    receiver = begun(receiving(tmp_path), COUNT)

    with file_size_limit(10), pytest.raises(DiskFullError):
        receiver.finish()

    assert receiver.pending() == ("s", COUNT)
    assert receiver.begin(WHOLE.meta, COUNT) == COUNT
    assert receiver.finish().read_bytes() == DATA


# --- A snapshot that is still being made ---------------------------------------------

EARLY = SnapshotMeta("s", 0, 0, 0, WHOLE.meta.position)


def test_what_grows_is_kept_and_checked_against_the_figures_in_the_end(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = receiving(tmp_path)
    assert receiver.begin(EARLY) == 0
    take(receiver, WHOLE, 0, COUNT)
    assert receiver.begin(WHOLE.meta, COUNT) == COUNT

    assert receiver.finish().read_bytes() == DATA


@pytest.mark.parametrize("arrived", [1, COUNT // 2, COUNT - 1])
@pytest.mark.parametrize("next_meta", [EARLY, WHOLE.meta])
def test_what_grew_is_gone_on_with_after_a_restart(
    tmp_path: Path, receiving: Receiving, arrived: int, next_meta: SnapshotMeta
) -> None:
    receiver = receiving(tmp_path)
    receiver.begin(EARLY)
    take(receiver, WHOLE, 0, arrived)
    receiver.close()

    again = receiving(tmp_path)
    assert again.pending() == ("s", arrived)
    assert again.begin(next_meta, arrived) == arrived
    take(again, WHOLE, arrived, COUNT)
    assert again.begin(WHOLE.meta, COUNT) == COUNT
    assert again.finish().read_bytes() == DATA


def test_the_last_chunk_of_what_grew_is_fetched_again_after_a_restart(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = receiving(tmp_path)
    receiver.begin(EARLY)
    take(receiver, WHOLE, 0, COUNT)
    receiver.close()

    again = receiving(tmp_path)
    assert again.pending() == ("s", COUNT - 1)
    assert again.begin(WHOLE.meta, COUNT - 1) == COUNT - 1
    take(again, WHOLE, COUNT - 1, COUNT)
    assert again.finish().read_bytes() == DATA


def test_nothing_comes_behind_a_short_chunk_of_what_grows(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = receiving(tmp_path)
    receiver.begin(EARLY)
    take(receiver, WHOLE, 0, COUNT)
    more = b"x" * CHUNK_BYTES

    with pytest.raises(SnapshotError, match=f"chunk {COUNT} of snapshot s has"):
        receiver.add(SnapshotChunk("s", COUNT, more, zlib.crc32(more)))


def test_a_chunk_longer_than_the_first_is_refused_while_it_grows(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = receiving(tmp_path)
    receiver.begin(EARLY)
    take(receiver, WHOLE, 0, 1)
    data = WHOLE.archive[CHUNK_BYTES : 2 * CHUNK_BYTES + 1]

    with pytest.raises(SnapshotError, match=f"{CHUNK_BYTES + 1} bytes instead of"):
        receiver.add(SnapshotChunk("s", 1, data, zlib.crc32(data)))


def test_what_grows_without_end_is_refused(
    tmp_path: Path, receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "GROWTH_BYTES", 0)
    receiver = receiving(tmp_path, max_size=1500)
    receiver.begin(EARLY)
    skipped = struct.pack("<II", 0x184D2A50, 1 << 20) + bytes(CHUNK_BYTES - 8)

    receiver.add(SnapshotChunk("s", 0, skipped, zlib.crc32(skipped)))
    zeros = bytes(CHUNK_BYTES)
    for index in range(1, 15):
        receiver.add(SnapshotChunk("s", index, zeros, zlib.crc32(zeros)))
    with pytest.raises(SnapshotError, match="chunk 15 of snapshot s has"):
        receiver.add(SnapshotChunk("s", 15, zeros, zlib.crc32(zeros)))


def test_figures_that_are_not_of_what_grew_are_found_in_the_end(
    tmp_path: Path, receiving: Receiving
) -> None:
    receiver = receiving(tmp_path)
    receiver.begin(EARLY)
    take(receiver, WHOLE, 0, COUNT)
    wrong = msgspec.structs.replace(WHOLE.meta, crc32=7)
    receiver.begin(wrong, COUNT)

    with pytest.raises(SnapshotError, match="did not arrive whole"):
        receiver.finish()
