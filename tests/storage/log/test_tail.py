"""Writing at the end of the log's last file."""

from pathlib import Path

from nexus.model.position import Offset
from nexus.storage.log.segment import HEADER, Segment, encode_batch
from nexus.storage.log.tail import Tail
from storage.logs import batch

SIZE = 3 << 20


def tail_at(directory: Path, first: int) -> Tail:
    path = directory / f"{first:020d}.wal"
    Segment.create(path, Offset(first), size=SIZE)
    segment = Segment.load(path, every=4096)
    segment.end = HEADER.size
    return Tail(segment)


def test_batches_stand_one_behind_the_other_and_zeros_behind_them(
    tmp_path: Path,
) -> None:
    tail = tail_at(tmp_path, 1)
    written = b""
    for first in range(1, 1001, 100):
        data = encode_batch(
            batch(first, 100, 2000), durable=Offset(first - 1), salt=tail.segment.salt
        )
        tail.write(data, first, durably=False)
        written += data
    tail.sync()

    stored = tail.segment.path.read_bytes()
    assert stored[HEADER.size : tail.segment.end] == written
    assert stored[tail.segment.end :] == bytes(SIZE - tail.segment.end)
    tail.close()


def test_a_batch_may_fill_its_file_to_the_last_byte(tmp_path: Path) -> None:
    tail = tail_at(tmp_path, 1)
    payload_bytes = SIZE - HEADER.size - 2 * 24
    data = encode_batch(
        batch(1, 1, payload_bytes), durable=Offset(0), salt=tail.segment.salt
    )

    tail.write(data, 1, durably=False)

    assert tail.segment.end == tail.segment.path.stat().st_size == SIZE
    tail.close()


def test_the_file_left_behind_keeps_its_records_and_gives_back_its_room(
    tmp_path: Path,
) -> None:
    tail, following = tail_at(tmp_path, 1), tail_at(tmp_path, 11)
    old = tail.segment
    data = encode_batch(batch(1, 10), durable=Offset(0), salt=old.salt)
    tail.write(data, 1, durably=False)

    tail.trim()
    tail.move_to(following.segment)

    assert old.path.read_bytes()[HEADER.size :] == data
    assert tail.segment is following.segment
    tail.close()
    tail.close()
    following.close()
