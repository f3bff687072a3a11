"""What a master carries into its archive, and where another goes on."""

import time
from pathlib import Path

import pytest

from archive.keeping import CLUSTER, keeper, rows_in
from nexus.archive.directory import DirectoryStore
from nexus.archive.merging import FAN_IN
from nexus.archive.restoring import Moment
from nexus.archive.uploading import REPLACED_S, ReignOverError, Uploader
from nexus.errors import ArchiveError, LogGapError
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.node.writing.jobs import Job
from node.builders import wanted


def test_runs_follow_each_other_and_another_uploader_goes_on(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        assert master.uploader.covered is None
        master.snapshot()
        master.insert(3)
        master.carry()

        again = master.begun()

        assert again.covered == again.carried == master.last
        assert not again.carry(master.last)
        last = master.insert(2)
        assert again.carry(last)
        assert again.covered == last


def test_large_entries_make_runs_of_bounded_size(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        for _ in range(12):
            master.write("insert into t(v) values (randomblob(900000))")

        master.carry()

        runs = master.uploader.look().runs
        assert len(runs) == 2
        master.assert_restorable()


def test_a_reign_that_has_ended_archives_nothing_more(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert()
        master.reigns = False

        with pytest.raises(ReignOverError):
            master.carry()

        assert not master.uploader.look().runs


def test_entries_that_the_log_dropped_are_a_gap_until_the_next_snapshot(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert(2)
        master.carry()
        before = master.last
        gone = master.insert(3)
        master.desk.log.reset(gone)

        with pytest.raises(LogGapError):
            master.carry()
        master.snapshot()
        # The writer goes on from where its log stands.
        last = master.insert(2)
        master.carry()

        assert master.uploader.covered == last
        master.restored("now")
        assert rows_in(tmp_path / "now") == master.rows[last]
        master.restored("before", Moment(offset=before))
        assert rows_in(tmp_path / "before") == master.rows[before]


def test_an_object_that_vanished_is_reported_and_its_entries_are_carried_again(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        run = master.archive(2)
        master.store.delete([str(run)])

        master.uploader.audit()

        assert str(run) in master.uploader.lost
        assert master.uploader.covered == 2
        master.carry()
        assert master.uploader.covered == master.last
        master.assert_restorable()


def test_an_object_that_arrived_cut_off_is_removed_and_carried_again(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        run = master.archive(2)
        path = tmp_path / "the archive" / str(run)
        path.write_bytes(path.read_bytes()[:-7])

        master.uploader.audit()
        master.carry()

        assert str(run) in master.uploader.lost
        master.assert_restorable()


def test_what_was_lost_is_told_until_an_audit_finds_everything(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        run = master.archive(2)
        master.store.delete([str(run)])
        master.uploader.audit()
        master.carry()
        master.snapshot()
        assert str(run) in master.uploader.lost

        master.uploader.audit()

        assert master.uploader.lost == ""


def test_an_old_object_that_vanished_between_two_snapshots_is_reported_too(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        run = master.archive(2)
        master.snapshot()
        master.uploader.audit()
        assert master.uploader.lost == ""
        master.store.delete([str(run)])

        master.uploader.audit()

        assert str(run) in master.uploader.lost
        assert master.uploader.covered == master.last


def test_a_lost_snapshot_leaves_nothing_covered(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        name = master.snapshot()
        master.store.delete([name])

        master.uploader.audit()

        assert master.uploader.covered is None
        assert name in master.uploader.lost


def test_what_is_whole_is_not_reported(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert()
        master.carry()

        master.uploader.audit()

        assert master.uploader.lost == ""
        assert master.uploader.covered == master.last


def test_what_retention_removes_is_not_missed(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        run = master.archive(1)
        master.snapshot()
        master.insert()
        master.carry()

        master.uploader.delete([str(run)])
        master.uploader.audit()

        assert master.uploader.lost == ""


def test_a_snapshot_of_another_history_is_refused(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        for position in (
            Position(Epoch(1), Offset(1), HistoryId("other")),
            Position(Epoch(0), Offset(0), HistoryId("")),
        ):
            with pytest.raises(ArchiveError, match="not of this master's history"):
                master.uploader.name_snapshot(position)


def test_entries_before_every_reign_are_a_gap(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        late = Uploader(
            DirectoryStore(tmp_path / "other"),
            master.desk.log,
            CLUSTER,
            master.uploader.history.truncated_after(Offset(0)),
            lambda: True,
        )

        with pytest.raises(LogGapError, match="of no reign"):
            late.carry(master.last)


def test_a_snapshot_of_an_entry_that_the_log_lost_has_the_time_of_now(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as master:
        made = master.times[master.last]
        master.desk.log.reset(master.last)
        # So it stands as after a restore: the database at an entry that no log holds.
        name = master.uploader.name_snapshot(master.desk.database.position)

        assert name.time_us >= made


def test_the_entries_of_one_run_are_of_one_reign(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        job = Job(wanted("insert into t(v) values (1)"), None)
        master.writer.run_batch([job])
        own = master.uploader.history.reigns[0]
        later = own.__class__(
            Epoch(2), HistoryId("later"), "m", Offset(master.last + 1), 0, "start"
        )

        master.uploader.history = master.uploader.history.begun(later)
        master.carry()

        (run,) = master.uploader.look().runs
        assert (run.last, run.reign.epoch) == (master.last, 1)


def test_a_snapshot_leaves_no_hole_in_the_moments_before_it(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        between = master.insert(3)
        master.insert(2)

        master.snapshot()
        covered = master.uploader.covered
        master.carry()

        assert covered == master.uploader.covered == master.last
        restored = master.restored("copy", Moment(offset=between))
        assert restored.position.offset == between
        assert rows_in(tmp_path / "copy") == master.rows[between]


def test_many_small_runs_become_one_and_go_when_nobody_reads_them(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        for _ in range(FAN_IN + 2):
            master.insert()
            master.carry()
        assert len(master.uploader.look().runs) == FAN_IN + 3

        master.uploader.sweep(time.monotonic())
        assert len(master.uploader.look().runs) == FAN_IN + 3
        master.uploader.sweep(time.monotonic() + REPLACED_S + 1)

        assert len(master.uploader.look().runs) == 3
        master.uploader.audit()
        assert master.uploader.lost == ""
        assert master.uploader.covered == master.last
        between = Offset(master.last - 20)
        restored = master.restored("copy", Moment(time_us=master.times[between]))
        assert restored.position.offset == between
        assert rows_in(tmp_path / "copy") == master.rows[between]


def test_runs_that_the_log_no_longer_holds_stay_as_they_are(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        for number in range(FAN_IN + 2):
            master.insert()
            if number == FAN_IN // 2:
                master.carry()
                master.desk.log.reset(master.last)
                continue
            master.carry()

        assert len(master.uploader.look().runs) == FAN_IN + 2
        assert master.uploader.covered == master.last
