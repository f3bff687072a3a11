"""The write-ahead log as its users see it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from nexus.errors import CorruptLogError, DiskFullError, LogGapError, StorageError
from nexus.model.entry import Record
from nexus.model.position import Offset
from nexus.storage.log.segment import Segment
from nexus.storage.wal import WalSettings, WriteAheadLog
from storage.logs import (
    ROOMY,
    SMALL,
    FullDisk,
    all_of,
    batch,
    descriptor_of,
    file_size_limit,
    flip,
    mounted,
    newest_file,
    only_file,
    overwrite,
    record,
)


def reopened(log: WriteAheadLog, directory: Path) -> WriteAheadLog:
    log.close()
    return WriteAheadLog.open(directory, SMALL, watermark=log.durable_offset)


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path / "wal", SMALL)

    assert (log.first_offset, log.last_offset, log.durable_offset) == (1, 0, 0)
    assert (log.entry_count, log.size_bytes, log.failed) == (0, 4096, False)
    assert all_of(log) == []
    log.close()


def test_what_was_appended_is_read_and_found_again(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.append(batch(1, 3))
    log.append([])
    log.append(batch(4, 40, epoch=4))

    assert log.durable_offset < log.last_offset == 43
    assert log.sync() == log.sync() == log.durable_offset == 43
    log = reopened(log, tmp_path)
    assert all_of(log) == batch(1, 3) + batch(4, 40, epoch=4)
    log.close()


def test_an_entry_appended_durably_is_durable_unless_one_before_it_is_not(
    tmp_path: Path,
) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)

    log.append(batch(1, 3), durably=True)
    at_once = log.durable_offset
    log.append(batch(4, 2))
    log.append(batch(6, 1), durably=True)

    assert (at_once, log.durable_offset, log.last_offset) == (3, 3, 6)
    assert log.sync() == 6
    log.append(batch(7, 40), durably=True)
    assert log.durable_offset == 46
    log = reopened(log, tmp_path)
    assert all_of(log) == batch(1, 46)
    log.close()


def test_an_append_that_does_not_follow_is_a_bug(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)

    with pytest.raises(AssertionError, match="no gap"):
        log.append(batch(2, 1))
    log.close()


@pytest.mark.parametrize("before", [0, 1])
def test_a_batch_larger_than_a_segment_gets_a_larger_one(
    tmp_path: Path, before: int
) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.append(batch(1, before))
    large = record(before + 1, 50_000)

    log.append([large])
    log.append(batch(before + 2, 1))
    log.sync()

    log = reopened(log, tmp_path)
    assert all_of(log) == [*batch(1, before), large, *batch(before + 2, 1)]
    log.close()


def test_every_entry_before_the_last_segment_is_durable(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    for offset in range(1, 100):
        log.append(batch(offset, 1))
        assert log.durable_offset >= int(newest_file(tmp_path).stem) - 1
    log.close()


def test_a_damaged_older_segment_is_found_when_it_is_read(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.append(batch(1, 10))
    log.append(batch(11, 10))
    log.append(batch(21, 10))
    oldest = min(tmp_path.glob("*.wal"))
    flip(oldest, 200)

    log = reopened(log, tmp_path)
    with pytest.raises(CorruptLogError, match=oldest.name):
        all_of(log)
    log.close()


def test_a_log_cut_anywhere_goes_on_from_there(tmp_path: Path) -> None:
    for last_kept in range(46):
        directory = tmp_path / str(last_kept)
        log = WriteAheadLog.open(directory, SMALL)
        for first in range(1, 45, 4):
            log.append(batch(first, 4))

        log.truncate_after(Offset(last_kept))

        kept = min(last_kept, 44)
        assert log.last_offset == kept
        assert last_kept >= 44 or log.durable_offset == kept
        log.append(batch(kept + 1, 3, size=31, epoch=4))
        log.sync()
        log = reopened(log, directory)
        assert all_of(log) == batch(1, kept) + batch(kept + 1, 3, size=31, epoch=4)
        log.close()


def test_nothing_stands_behind_a_cut(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, ROOMY)
    log.append(batch(1, 50))
    log.truncate_after(Offset(20))
    log.close()

    path = only_file(tmp_path)
    end = Segment.load(path, every=100).end_after(20)
    assert not any(path.read_bytes()[end:])
    assert path.stat().st_size == ROOMY.segment_bytes


@pytest.mark.parametrize("last_offset", [0, 5, 30, 500])
def test_a_reset_log_begins_after_the_given_offset(
    tmp_path: Path, last_offset: int
) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    for first in range(1, 31, 5):
        log.append(batch(first, 5))

    log.reset(Offset(last_offset))

    for _ in range(2):
        assert log.last_offset == log.durable_offset == last_offset
        assert log.first_offset == last_offset + 1
        assert log.entry_count == 0
        log = reopened(log, tmp_path)
    log.append(batch(last_offset + 1, 2))
    assert all_of(log) == batch(last_offset + 1, 2)
    log.close()


def test_entries_written_after_a_cut_are_found_from_any_start(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    for first in range(1, 9):
        log.append([record(first, 300)])

    log.truncate_after(Offset(2))
    for first in range(3, 9):
        log.append([record(first, 90, epoch=4)])

    for offset in range(3, 9):
        cursor = log.cursor(Offset(offset))
        assert cursor.read(Offset(offset + 1), 1) == [record(offset, 90, epoch=4)]
        cursor.close()
    log.close()


def test_a_cut_before_the_first_entry_is_a_gap(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.reset(Offset(30))
    log.append(batch(31, 3))

    with pytest.raises(LogGapError, match="begins with entry 31"):
        log.truncate_after(Offset(29))
    log.truncate_after(Offset(30))
    assert (log.first_offset, log.last_offset) == (31, 30)
    log.close()


def test_retention_drops_whole_segments_that_are_old_and_not_needed(
    tmp_path: Path,
) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    for offset in range(1, 101):
        log.append(batch(offset, 1))
    assert log.retain(Offset(1)) == 0
    assert log.retain(Offset(25)) == 20
    assert log.first_offset == 21

    dropped = log.retain(Offset(101))

    assert dropped == 40
    assert log.first_offset == 61
    assert log.entry_count == 40 == SMALL.max_entries
    assert min(tmp_path.glob("*.wal")).stem == f"{61:020d}"
    assert all_of(log) == batch(61, 40)
    log.close()


def test_even_the_newest_entries_may_go_but_for_the_last_file(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    for offset in range(1, 101):
        log.append(batch(offset, 1))

    dropped = log.retain(Offset(95), keeps_newest=False)

    assert dropped == 90
    assert log.entry_count == 10
    assert all_of(log) == batch(91, 10)
    log.close()


def test_a_closed_log_takes_no_changes(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.close()
    log.close()

    with pytest.raises(StorageError, match="closed"):
        log.append(batch(1, 1))


# A disk that is full or fails


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[FullDisk]:
    """A small disk: a tmpfs, or a limit where none can be mounted."""
    with mounted(tmp_path / "disk", "size=4m"):
        yield FullDisk(tmp_path / "disk" / "wal", tmp_path / "disk" / "ballast")


def test_no_room_for_a_new_segment_leaves_the_log_as_it_was_and_usable(
    full_disk: FullDisk,
) -> None:
    log = WriteAheadLog.open(full_disk.directory, ROOMY)
    log.append(batch(1, 3))
    names = set(full_disk.directory.iterdir())

    with full_disk.filled():
        with pytest.raises(DiskFullError, match="making a segment"):
            log.append([record(4, ROOMY.segment_bytes)])
        assert not log.failed
        assert log.last_offset == 3
        assert set(full_disk.directory.iterdir()) == names
        log.append(batch(4, 2))
        assert log.sync() == 5
    log.append([record(6, ROOMY.segment_bytes)])
    assert log.sync() == 6
    log.close()

    log = WriteAheadLog.open(full_disk.directory, ROOMY, watermark=Offset(6))
    assert all_of(log) == [*batch(1, 5), record(6, ROOMY.segment_bytes)]
    log.close()


def test_no_room_to_enlarge_the_first_segment_leaves_it_usable(
    full_disk: FullDisk,
) -> None:
    log = WriteAheadLog.open(full_disk.directory, ROOMY)

    with full_disk.filled():
        with pytest.raises(DiskFullError, match="enlarging"):
            log.append([record(1, ROOMY.segment_bytes)])
        assert not log.failed
        log.append(batch(1, 2))
        assert log.sync() == 2
    assert all_of(log) == batch(1, 2)
    log.close()


def test_no_room_for_a_reset_leaves_the_log_as_it_was(full_disk: FullDisk) -> None:
    log = WriteAheadLog.open(full_disk.directory, ROOMY)
    log.append(batch(1, 3))

    with full_disk.filled(), pytest.raises(DiskFullError):
        log.reset(Offset(70))

    assert not log.failed
    log.append(batch(4, 1))
    assert all_of(log) == batch(1, 4)
    log.close()


def test_no_room_for_a_new_log_is_told_and_leaves_nothing(full_disk: FullDisk) -> None:
    with full_disk.filled():
        with pytest.raises(DiskFullError, match="opening the log"):
            WriteAheadLog.open(full_disk.directory, ROOMY)

        assert list(full_disk.directory.iterdir()) == []
    WriteAheadLog.open(full_disk.directory, ROOMY).close()


def test_a_torn_log_opens_on_a_full_disk(full_disk: FullDisk) -> None:
    log = WriteAheadLog.open(full_disk.directory, ROOMY)
    log.append(batch(1, 3))
    log.close()
    flip(only_file(full_disk.directory), 32 + 24 + 2 * 44 + 30)

    with full_disk.filled():
        log = WriteAheadLog.open(full_disk.directory, ROOMY)
        assert all_of(log) == batch(1, 2)
        log.close()


def test_a_write_that_fails_in_the_middle_poisons_the_log(tmp_path: Path) -> None:
    settings = WalSettings(segment_bytes=3 << 20)
    log = WriteAheadLog.open(tmp_path, settings)
    log.append(batch(1, 5))
    log.sync()

    with file_size_limit(2 << 20), pytest.raises(DiskFullError, match="entry 6"):
        log.append(batch(6, 30, size=100_000))

    assert log.failed
    assert (log.last_offset, log.durable_offset) == (5, 5)
    for change in (
        lambda: log.append(batch(6, 1)),
        log.sync,
        lambda: log.truncate_after(Offset(2)),
        lambda: log.reset(Offset(2)),
        lambda: log.retain(Offset(2)),
    ):
        with pytest.raises(StorageError, match=r"no more changes: .*entry 6.*restart"):
            change()
    assert all_of(log) == batch(1, 5)
    log.close()
    # Whole records of the failed batch may be found again: they were never refused.
    log = WriteAheadLog.open(tmp_path, settings, watermark=Offset(5))
    assert all_of(log) == batch(1, 5) + batch(6, log.last_offset - 5, size=100_000)
    assert 5 < log.last_offset < 35
    log.close()


def test_a_failed_sync_poisons_the_log_and_makes_nothing_durable(
    tmp_path: Path,
) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.append(batch(1, 2))
    log.sync()
    log.append(batch(3, 2))
    ends = os.pipe()
    os.dup2(ends[1], descriptor_of(only_file(tmp_path)))  # which cannot be synced

    for _ in range(2):
        with pytest.raises(StorageError, match="syncing entry 4"):
            log.sync()

    assert log.failed
    assert log.durable_offset == 2
    log.close()
    for end in ends:
        os.close(end)


def test_a_segment_that_cannot_be_named_poisons_the_log(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.append(batch(1, 10))
    (tmp_path / f"{11:020d}.wal").mkdir()

    with pytest.raises(StorageError, match="beginning a segment after"):
        log.append(batch(11, 1))

    assert log.failed
    log.close()


def test_a_segment_that_cannot_be_made_poisons_the_log(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, SMALL)
    log.append(batch(1, 10))
    (tmp_path / "prepared.tmp").mkdir()

    with pytest.raises(StorageError, match="making a segment"):
        log.append(batch(11, 1))

    assert log.failed
    assert all_of(log) == batch(1, 10)
    log.close()


def test_a_directory_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "wal").write_bytes(b"")

    with pytest.raises(StorageError, match=f"opening the log in {tmp_path / 'wal'}"):
        WriteAheadLog.open(tmp_path / "wal", SMALL)


# A process that is killed

_VICTIM = """
import sys
from pathlib import Path
from storage.logs import SMALL, batch
from nexus.storage.wal import WriteAheadLog
log = WriteAheadLog.open(Path(sys.argv[1]), SMALL)
while True:
    log.append(batch(log.last_offset + 1, 3))
    print(log.sync(), flush=True)
"""


@pytest.mark.parametrize("syncs", [1, 7, 40])
def test_what_was_synced_before_a_kill_is_there_afterwards(
    tmp_path: Path, syncs: int
) -> None:
    durable, known = 0, 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _VICTIM, str(tmp_path)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        ) as victim:
            assert victim.stdout is not None
            for _ in range(syncs):
                durable = int(victim.stdout.readline())
            victim.kill()

        log = WriteAheadLog.open(tmp_path, SMALL, watermark=Offset(durable))
        assert known < durable <= log.last_offset
        assert all_of(log) == batch(1, log.last_offset)
        known = log.last_offset
        log.close()


# A list that does the same


class LogAndList(RuleBasedStateMachine):
    """Whatever is done to both, the log and a list hold the same entries."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = tempfile.TemporaryDirectory()
        self.directory = Path(self._kept.name)
        self.log = WriteAheadLog.open(self.directory, SMALL)
        self.entries: list[Record] = []
        self.last = 0
        self.durable = 0
        self.epoch = 1

    @rule(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=9))
    def append(self, sizes: list[int]) -> None:
        records = [
            record(self.last + 1 + index, size, self.epoch)
            for index, size in enumerate(sizes)
        ]
        self.log.append(records)
        self.entries += records
        self.last += len(records)
        self.durable = self.log.durable_offset

    @rule()
    def sync(self) -> None:
        assert self.log.sync() == self.last
        self.durable = self.last

    @precondition(lambda self: self.entries)
    @rule(where=st.floats(0, 1))
    def truncate(self, where: float) -> None:
        kept = int(where * len(self.entries))
        last_kept = self.last - len(self.entries) + kept
        self.log.truncate_after(Offset(last_kept))
        if kept < len(self.entries):
            self.durable = last_kept
        del self.entries[kept:]
        self.last = last_kept
        self.epoch += 1

    @rule(last=st.integers(0, 400))
    def reset(self, last: int) -> None:
        self.log.reset(Offset(last))
        self.entries = []
        self.last = self.durable = last
        self.epoch += 1

    @rule(back=st.integers(0, 60))
    def retain(self, back: int) -> None:
        keep_from = max(1, self.last - back)
        dropped = self.log.retain(Offset(keep_from))
        first = self.last - len(self.entries) + 1
        del self.entries[:dropped]
        if dropped:
            bound = min(keep_from, self.last - SMALL.max_entries + 1)
            assert first + dropped <= bound

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log = WriteAheadLog.open(
            self.directory, SMALL, watermark=Offset(self.durable)
        )
        self.durable = self.last
        assert self.log.torn_bytes == 0

    @rule(lost=st.lists(st.floats(0, 1), max_size=5))
    def lose_power(self, lost: list[float]) -> None:
        """Of what was not synced, any sixteen bytes may be missing."""
        self.log.close()
        newest = newest_file(self.directory)
        start = Segment.load(newest, every=64).end_after(self.durable)
        written = len(newest.read_bytes().rstrip(b"\0")) - start
        for where in lost if written > 0 else []:
            overwrite(newest, start + int(where * written), bytes(16))
        self.log = WriteAheadLog.open(
            self.directory, SMALL, watermark=Offset(self.durable)
        )
        assert self.durable <= self.log.last_offset <= self.last
        del self.entries[len(self.entries) - (self.last - self.log.last_offset) :]
        self.last = self.durable = self.log.last_offset
        self.epoch += 1

    @precondition(lambda self: self.entries)
    @rule(where=st.floats(0, 1))
    def read_from_anywhere(self, where: float) -> None:
        index = int(where * (len(self.entries) - 1))
        start = self.entries[index].offset
        cursor = self.log.cursor(start)
        assert cursor.read(Offset(start + 1), 1) == [self.entries[index]]
        cursor.close()

    @invariant()
    def both_hold_the_same(self) -> None:
        assert self.log.last_offset == self.last
        assert self.log.durable_offset == self.durable
        assert self.log.entry_count == len(self.entries)
        assert all_of(self.log) == self.entries
        sizes = sum(path.stat().st_size for path in self.directory.glob("*.wal"))
        assert self.log.size_bytes == sizes

    @override
    def teardown(self) -> None:
        self.log.close()
        self._kept.cleanup()


TestLogAndList = LogAndList.TestCase
TestLogAndList.settings = settings(
    max_examples=settings().max_examples * 40 // 100, stateful_step_count=25
)
