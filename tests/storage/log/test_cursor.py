"""Reading the log while it grows, is cut and is dropped."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from typing_extensions import override

from nexus.errors import CorruptLogError, LogGapError, StorageError
from nexus.model.entry import Record
from nexus.model.position import Offset
from nexus.storage.log.cursor import RECENT_BATCHES, RECENT_BYTES, LogCursor, LogState
from nexus.storage.log.segment import Segment
from nexus.storage.wal import WalSettings, WriteAheadLog
from storage.logs import ROOMY, SMALL, batch, flip, newest_file, record, record_starts


def log_with(
    directory: Path, last: int, settings: WalSettings = SMALL
) -> WriteAheadLog:
    log = WriteAheadLog.open(directory, settings)
    for first in range(1, last + 1, 5):
        log.append(batch(first, min(5, last + 1 - first)))
    log.sync()
    return log


def read_on(cursor: LogCursor, stop: int, max_bytes: int = 200) -> list[Record]:
    found: list[Record] = []
    while records := cursor.read(Offset(stop), max_bytes):
        found += records
    return found


def test_a_cursor_reads_from_any_start_to_any_stop_over_all_segments(
    tmp_path: Path,
) -> None:
    log = log_with(tmp_path, 47)
    assert len(list(tmp_path.glob("*.wal"))) > 3

    for start in range(1, 49):
        for stop in (start, start + 1, start + 13, 48, 99):
            cursor = log.cursor(Offset(start))
            expected = batch(start, max(0, min(stop, 48) - start))
            assert read_on(cursor, stop) == expected
            assert cursor.offset == start + len(expected)
            cursor.close()
    log.close()


def test_a_read_takes_no_more_bytes_than_asked_for_but_always_one_record(
    tmp_path: Path,
) -> None:
    log = WriteAheadLog.open(tmp_path, ROOMY)
    log.append([record(1, 9_000), *batch(2, 10, size=76)])

    cursor = log.cursor(Offset(1))
    assert cursor.read(Offset(12), 1) == [record(1, 9_000)]
    assert cursor.read(Offset(12), 300) == batch(2, 3, size=76)
    assert cursor.read(Offset(12), 1 << 20) == batch(5, 7, size=76)
    assert cursor.read(Offset(12), 1 << 20) == []
    cursor.close()
    log.close()


def test_a_cursor_at_the_end_sees_what_is_appended_later(tmp_path: Path) -> None:
    log = log_with(tmp_path, 3)
    cursor = log.cursor(Offset(4))
    assert cursor.read(Offset(99), 100) == []

    log.append(batch(4, 30))

    assert read_on(cursor, 99) == batch(4, 30)
    cursor.close()
    log.close()


@pytest.mark.parametrize("start", [0, 5, 99])
def test_a_start_that_the_log_does_not_hold_is_a_gap(
    tmp_path: Path, start: int
) -> None:
    log = log_with(tmp_path, 3)

    with pytest.raises(LogGapError, match=f"entry {start} .* entries 1 to 3"):
        log.cursor(Offset(start))
    log.close()


def test_a_cursor_overtaken_by_retention_is_told(tmp_path: Path) -> None:
    log = log_with(tmp_path, 100)
    behind, ahead = log.cursor(Offset(2)), log.cursor(Offset(80))
    behind.read(Offset(4), 100)

    assert log.retain(Offset(101)) > 0

    with pytest.raises(LogGapError, match=r"entry 4 .* begins with entry"):
        behind.read(Offset(50), 100)
    assert read_on(ahead, 101) == batch(80, 21)
    behind.close()
    ahead.close()
    log.close()


def test_a_cursor_that_passed_a_cut_is_told_and_one_that_did_not_goes_on(
    tmp_path: Path,
) -> None:
    log = log_with(tmp_path, 33)
    passed, stands, before = (log.cursor(Offset(at)) for at in (22, 21, 3))
    for cursor in (passed, stands, before):
        cursor.read(Offset(cursor.offset), 100)

    log.truncate_after(Offset(20))
    assert stands.read(Offset(99), 100) == []
    log.append(batch(21, 9, epoch=4))

    with pytest.raises(LogGapError, match="taken back"):
        passed.read(Offset(99), 100)
    assert read_on(stands, 99) == batch(21, 9, epoch=4)
    assert read_on(before, 99) == batch(3, 18) + batch(21, 9, epoch=4)
    for cursor in (passed, stands, before):
        cursor.close()
    log.close()


class StateCutInMidRead(LogState):
    """The log's state, cut and written anew while a cursor is within a read."""

    def __init__(self, log: WriteAheadLog) -> None:
        super().__init__(log._state.segments)
        self._log = log
        self.armed = False
        self._copy()

    @override
    def segment_of(self, offset: int) -> tuple[Segment, int | None]:
        if self.armed:
            self.armed = False
            self._log.truncate_after(Offset(15))
            self._log.append(batch(16, 18, epoch=4))
            self._copy()
        return super().segment_of(offset)

    def _copy(self) -> None:
        state = self._log._state
        self.segments, self.cuts = state.segments, state.cuts
        self.last_offset = state.last_offset


@pytest.mark.interpreted
def test_entries_written_over_a_cut_during_a_read_are_not_returned(
    tmp_path: Path,
) -> None:
    log = log_with(tmp_path, 33, ROOMY)
    state = StateCutInMidRead(log)
    cursor = LogCursor(state, Offset(18))
    assert cursor.read(Offset(21), 1000) == batch(18, 3)

    state.armed = True
    cursor.close()

    with pytest.raises(LogGapError, match="taken back"):
        cursor.read(Offset(99), 1000)
    cursor.close()
    log.close()


def test_no_cursor_survives_a_reset(tmp_path: Path) -> None:
    log = log_with(tmp_path, 10)
    cursor = log.cursor(Offset(11))

    log.reset(Offset(10))
    log.append(batch(11, 1, epoch=4))

    with pytest.raises(LogGapError, match="taken back"):
        cursor.read(Offset(99), 100)
    cursor.close()
    log.close()


@pytest.mark.parametrize("byte", [0, 3, 4, 8, 16, 24, 43])
def test_a_damaged_record_is_corruption_with_file_and_byte_and_the_cursor_stays(
    tmp_path: Path, byte: int
) -> None:
    log = log_with(tmp_path, 10, ROOMY)
    path = newest_file(tmp_path)
    start = record_starts(path, 10)[8]
    flip(path, start + byte)
    cursor = log.cursor(Offset(6))

    assert read_on_to_error(cursor) == (batch(6, 2), path.name, start)
    flip(path, start + byte)
    assert read_on(cursor, 99) == batch(8, 3)
    cursor.close()
    log.close()


def read_on_to_error(cursor: LogCursor) -> tuple[list[Record], str, int]:
    found = cursor.read(Offset(99), 1 << 16)
    with pytest.raises(CorruptLogError) as caught:
        cursor.read(Offset(99), 1 << 16)
    words = str(caught.value).replace(",", "").split()
    return found, Path(words[0].rstrip(":")).name, int(words[words.index("byte") + 1])


def test_a_segment_that_lost_its_end_is_corruption(tmp_path: Path) -> None:
    log = log_with(tmp_path, 30)
    first = min(tmp_path.glob("*.wal"))
    end = record_starts(first, 3)[4]
    with first.open("r+b") as file:
        file.truncate(end)

    with pytest.raises(CorruptLogError, match=f"entry 4, expected at byte {end},"):
        read_on(log.cursor(Offset(1)), 99)
    log.close()


def test_a_file_that_somebody_removed_is_an_error_of_the_disk(tmp_path: Path) -> None:
    log = log_with(tmp_path, 30)
    min(tmp_path.glob("*.wal")).unlink()

    with pytest.raises(StorageError, match=r"reading entry 1 .* No such file"):
        read_on(log.cursor(Offset(1)), 99)
    log.close()


def test_a_closed_cursor_opens_again_where_it_was(tmp_path: Path) -> None:
    log = log_with(tmp_path, 10)
    cursor = log.cursor(Offset(1))
    cursor.read(Offset(4), 1000)
    cursor.close()

    assert read_on(cursor, 99) == batch(4, 7)
    cursor.close()
    log.close()


def test_cursors_in_other_threads_read_exactly_what_is_appended_meanwhile(
    tmp_path: Path,
) -> None:
    last, settings = 3_000, WalSettings(segment_bytes=64 << 10, max_entries=10_000)
    log = WriteAheadLog.open(tmp_path, settings)
    found: list[list[Record]] = [[], [], []]

    def follow(into: list[Record]) -> None:
        cursor = log.cursor(Offset(1))
        while len(into) < last:
            into += cursor.read(Offset(log.durable_offset + 1), 4096)
        cursor.close()

    threads = [threading.Thread(target=follow, args=(into,)) for into in found]
    for thread in threads:
        thread.start()
    for first in range(1, last + 1, 50):
        log.append(batch(first, 50))
        log.sync()
    for thread in threads:
        thread.join()

    assert all(into == batch(1, last) for into in found)
    log.close()


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns after every few steps, so that races happen."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def read_again_and_again(
    log: WriteAheadLog,
    done: threading.Event,
    runs: list[list[Record]],
    max_bytes: int,
) -> None:
    """Read all there is from the start, until a cut or the end ends the run."""
    while not done.is_set():
        run: list[Record] = []
        runs.append(run)
        cursor = log.cursor(Offset(1))
        with suppress(LogGapError):
            while records := cursor.read(Offset(1 << 40), max_bytes):
                run += records
        cursor.close()


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("max_bytes", [150, RECENT_BYTES], ids=["files", "memory"])
def test_a_cursor_never_mixes_histories_nor_calls_a_cut_corruption(
    tmp_path: Path, max_bytes: int
) -> None:
    log, done = log_with(tmp_path, 40), threading.Event()
    runs: list[list[Record]] = []

    with ThreadPoolExecutor() as pool:
        readers = [
            pool.submit(read_again_and_again, log, done, runs, max_bytes)
            for _ in range(2)
        ]
        for epoch in range(4, 84):
            log.truncate_after(Offset(20 + epoch % 7))
            while log.last_offset < 40:
                log.append(batch(log.last_offset + 1, 3, size=10 + epoch, epoch=epoch))
        done.set()
        for reader in readers:
            reader.result()

    assert len(runs) > 2
    for run in runs:
        assert [one.offset for one in run] == list(range(1, len(run) + 1))
        epochs = [one.epoch for one in run]
        assert epochs == sorted(epochs)
    log.close()


def test_what_was_appended_last_is_read_without_files(tmp_path: Path) -> None:
    log = log_with(tmp_path, 40, ROOMY)
    for path in tmp_path.glob("*.wal"):
        path.unlink()

    cursor = log.cursor(Offset(20))

    assert cursor.read(Offset(36), RECENT_BYTES) == batch(20, 16)
    assert cursor.read(Offset(99), RECENT_BYTES) == batch(36, 5)
    log.close()


def test_memory_holds_a_bounded_number_of_batches_and_bytes() -> None:
    state = LogState(())
    for offset in range(1, 2 * RECENT_BATCHES):
        state.remember(batch(offset, 1), 20)
    assert len(state.recent) == RECENT_BATCHES

    state.remember(batch(2 * RECENT_BATCHES, 1), RECENT_BYTES)
    assert len(state.recent) == 1
    state.remember(batch(2 * RECENT_BATCHES + 1, 1), RECENT_BYTES + 1)
    assert list(state.recent) == []
