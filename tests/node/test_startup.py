"""What a node stands on is opened in agreement, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nexus.config import Config
from nexus.config.settings import ReplicationSettings
from nexus.errors import (
    CorruptLogError,
    DataDirectoryLockedError,
    DiskFullError,
    StorageError,
)
from nexus.model.cluster import Mode, Role
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Reigned
from nexus.model.position import ORIGIN, Epoch, HistoryId, Offset, Reign
from nexus.node.chronicle import read_chronicle
from nexus.node.startup import (
    PROMOTION_STEP,
    Storage,
    effective_role,
    log_settings,
    new_reign,
    next_epoch,
    open_storage,
    redo,
    written,
)
from nexus.storage.catalog import Intent
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory, DirectoryLock
from nexus.storage.log.segment import HEADER
from storage.logs import batch, only_file, overwrite
from storage.pair import Pair, content
from storage.snapshotting import fill, position


@contextmanager
def standing_at(root: Path, role: Role = Role.STANDALONE) -> Iterator[Storage]:
    """Opened for the block."""
    replication = ReplicationSettings(role=role)
    storage = open_storage(Config(data_dir=root, replication=replication))
    try:
        yield storage
    finally:
        storage.close()


def assert_free(root: Path) -> None:
    """Nobody owns the data directory."""
    DirectoryLock.acquire(DataDirectory(root)).release()


def test_a_new_directory_begins_at_the_origin_under_a_name_that_stays(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path) as storage:
        node_id = storage.catalog.state.node_id
        assert node_id
        assert storage.database.position == ORIGIN
        assert storage.log.entry_count == 0
    with standing_at(tmp_path) as storage:
        assert storage.catalog.state.node_id == node_id


def test_the_directory_has_one_owner_until_it_is_closed(tmp_path: Path) -> None:
    with standing_at(tmp_path), pytest.raises(DataDirectoryLockedError):
        open_storage(Config(data_dir=tmp_path))

    assert_free(tmp_path)


def test_a_clean_stop_leaves_its_watermark(tmp_path: Path) -> None:
    with standing_at(tmp_path) as storage:
        storage.log.append(batch(1, 5))
        storage.log.sync()
        assert storage.catalog.state.log_watermark == 0
    with standing_at(tmp_path) as storage:
        assert storage.catalog.state.log_watermark == 5


def test_a_log_that_lost_what_was_durable_is_refused(tmp_path: Path) -> None:
    with standing_at(tmp_path) as storage:
        storage.log.append(batch(1, 5))
        storage.log.sync()
    for segment in DataDirectory(tmp_path).wal.glob("*.wal"):
        segment.unlink()

    with pytest.raises(CorruptLogError):
        open_storage(Config(data_dir=tmp_path))

    assert_free(tmp_path)


def test_an_operator_is_told_of_a_record_that_a_crash_left_unfinished(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path):
        pass
    overwrite(only_file(tmp_path / "wal"), HEADER.size, b"the beginning of a record")

    with capture_logs() as lines, standing_at(tmp_path):
        pass
    with capture_logs() as later, standing_at(tmp_path):
        pass

    assert lines == [
        {"event": "log_tail_cut", "log_level": "info", "bytes": 25, "offset": 0}
    ]
    assert later == []


def test_parts_of_different_copies_are_refused_and_leave_the_directory_free(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path) as storage:
        storage.log.append(batch(1, 5))
        storage.log.sync()
        fill(storage.database, generation=9)

    with pytest.raises(CorruptLogError, match="parts of different copies were mixed"):
        open_storage(Config(data_dir=tmp_path))

    assert_free(tmp_path)


def test_hard_case_2_parts_that_do_not_fit_are_a_full_sync_where_a_master_is_expected(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path) as storage:
        storage.log.append(batch(1, 5))
        storage.log.sync()
        fill(storage.database, generation=9)

    for _ in range(2):
        with standing_at(tmp_path, Role.REPLICA) as storage:
            state, log = storage.catalog.state, storage.log
            assert "parts of different copies were mixed" in state.incomplete
            assert (log.first_offset, log.last_offset) == (10, 9)
            assert storage.database.position.offset == 9
    (kept,) = DataDirectory(tmp_path).diverged.glob("log-*")
    assert list(kept.glob("*.wal"))


def test_hard_case_12_a_replica_whose_log_is_gone_is_incomplete(tmp_path: Path) -> None:
    with standing_at(tmp_path, Role.REPLICA) as storage:
        storage.log.append(batch(1, 5))
        storage.log.sync()
    for segment in DataDirectory(tmp_path).wal.glob("*.wal"):
        segment.unlink()

    with standing_at(tmp_path, Role.REPLICA) as storage:
        assert storage.catalog.state.incomplete
        assert storage.log.entry_count == 0


def test_an_incomplete_replica_whose_snapshot_has_come_needs_no_other_one(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path, Role.REPLICA) as storage:
        storage.catalog.update(incomplete="its log was lost", refilled=True)
        assert not storage.catalog.state.needs_full_sync
        storage.log.append(batch(1, 5))
        storage.log.sync()
    for segment in DataDirectory(tmp_path).wal.glob("*.wal"):
        segment.unlink()

    with standing_at(tmp_path, Role.REPLICA) as storage:
        needed = storage.catalog.state.needs_full_sync
        assert needed == storage.catalog.state.incomplete != "its log was lost"


def test_hard_case_2_a_witness_whose_log_begins_after_its_base_is_incomplete(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path, Role.WITNESS) as storage:
        storage.log.reset(Offset(3))
        storage.log.append(batch(4, 5))
        storage.log.sync()

    with standing_at(tmp_path, Role.WITNESS) as storage:
        assert "goes on after 0" in storage.catalog.state.incomplete
        assert storage.log.last_offset == 0


@pytest.mark.parametrize("name", ["nexus.db", "catalog.db"])
def test_a_file_that_cannot_be_opened_leaves_the_directory_free(
    tmp_path: Path, name: str
) -> None:
    with standing_at(tmp_path):
        pass
    (tmp_path / name).write_bytes(b"no database " * 1000)

    with pytest.raises(StorageError):
        open_storage(Config(data_dir=tmp_path))

    assert_free(tmp_path)


def test_a_stop_that_fails_frees_the_directory_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_: Database) -> bool:
        raise DiskFullError("no room to move the pages")

    storage = open_storage(Config(data_dir=tmp_path))
    monkeypatch.setattr(Database, "checkpoint", no_room)

    with pytest.raises(DiskFullError):
        storage.close()

    assert_free(tmp_path)


@pytest.mark.parametrize(
    ("entries", "megabytes"), [(10, 1), (40_000, 9), (1_000_000, 64)]
)
def test_a_log_that_keeps_few_entries_has_small_files(
    entries: int, megabytes: int
) -> None:
    settings = log_settings(entries)

    assert settings.max_entries == entries
    assert settings.segment_bytes >> 20 == megabytes


def test_an_empty_log_begins_behind_the_database(tmp_path: Path) -> None:
    with standing_at(tmp_path) as storage:
        fill(storage.database, generation=9)
    with standing_at(tmp_path) as storage:
        assert (storage.log.first_offset, storage.log.last_offset) == (10, 9)


@pytest.mark.parametrize(("before", "target"), [(7, 9), (9, 12), (10, 12)])
def test_hard_case_2_a_full_sync_was_done_if_the_database_stands_where_it_led(
    tmp_path: Path, before: int, target: int
) -> None:
    with standing_at(tmp_path) as storage:
        storage.log.append(batch(1, 15))
        storage.log.sync()
        fill(storage.database, generation=9)
        intent = Intent("full_sync", position(before), position(target))
        storage.catalog.update(intent=intent)

    for _ in range(2):
        with standing_at(tmp_path) as storage:
            replaced = target == 9
            assert storage.log.last_offset == (9 if replaced else 15)
            assert storage.log.entry_count == (0 if replaced else 15)
            assert storage.catalog.state.intent is None


@pytest.mark.parametrize(("target", "end"), [(9, 9), (12, 12), (7, 15)])
def test_a_rewind_is_ended_or_forgotten_as_the_database_says(
    tmp_path: Path, target: int, end: int
) -> None:
    with standing_at(tmp_path) as storage:
        storage.log.append(batch(1, 15))
        storage.log.sync()
        fill(storage.database, generation=9)
        intent = Intent("rewind", position(15), position(target))
        storage.catalog.update(intent=intent, log_watermark=Offset(15))

    for _ in range(2):
        with standing_at(tmp_path) as storage:
            assert storage.log.last_offset == end
            assert storage.database.position.offset == 9
            assert storage.catalog.state.intent is None


def test_what_the_log_holds_beyond_the_database_is_applied(tmp_path: Path) -> None:
    (tmp_path / "pair").mkdir()
    with (
        Pair(tmp_path / "pair") as pair,
        standing_at(tmp_path / "data") as storage,
    ):
        pair.write("create table t(id integer primary key, x)")
        for number in range(50):
            pair.write(f"insert into t values ({number}, 'row')")
        storage.log.append(pair.records)
        storage.log.sync()

        redo(storage)
        redo(storage)

        assert storage.database.position.offset == len(pair.records)
        assert content(storage.database) == content(pair.master)


def test_the_history_reaches_to_the_end_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "pair").mkdir()
    with (
        Pair(tmp_path / "pair") as pair,
        standing_at(tmp_path / "data") as storage,
    ):
        pair.write("create table t(id integer primary key, x)")
        storage.log.append(pair.records)
        redo(storage)
        reign = Reign(Epoch(2), HistoryId("next"), "b", Offset(3), 0, "failover")
        payload = Payload(0, "", b"", (Reigned(reign),), b"")
        storage.log.append([Record(Epoch(2), Offset(3), encode_payload(payload))])
        storage.log.sync()

        assert storage.database.history().epoch == 1
        history = read_chronicle(storage).history
        assert [found.epoch for found in history.reigns] == [1, 2]
        assert next_epoch(storage.catalog, history) == 3
        storage.catalog.update(epoch=Epoch(7))
        assert next_epoch(storage.catalog, history, step=PROMOTION_STEP) == 1007


@pytest.mark.parametrize(
    ("configured", "kept", "effective"),
    [
        (Role.MASTER, Role.REPLICA, Role.REPLICA),
        (Role.REPLICA, Role.MASTER, Role.MASTER),
        (Role.MASTER, Role.STANDALONE, Role.MASTER),
        (Role.STANDALONE, Role.REPLICA, Role.STANDALONE),
    ],
)
def test_a_role_taken_at_run_time_outlives_a_restart(
    tmp_path: Path, configured: Role, kept: Role, effective: Role
) -> None:
    config = Config(replication=ReplicationSettings(role=configured))
    with standing_at(tmp_path) as storage:
        storage.catalog.update(role=kept)
    with standing_at(tmp_path) as storage:
        assert effective_role(config, storage.catalog) is effective


def test_a_new_reign_begins_behind_all_that_the_log_holds(tmp_path: Path) -> None:
    with standing_at(tmp_path) as storage:
        reign = new_reign(storage, Epoch(4), "promote", Mode.SYNC)
        own = storage.catalog.state.node_id

    assert (reign.epoch, reign.why, reign.mode) == (4, "promote", Mode.SYNC)
    assert (reign.master_id, reign.first_offset) == (own, 1)


def test_when_the_entries_of_a_log_were_written_neighbours_as_young_as_the_youngest(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path) as storage:
        times = [1_000, 1_400, 1_200, 2_500, 9_000]
        storage.log.append(
            [
                Record(Epoch(1), Offset(at), encode_payload(Payload(us, "", b"", ())))
                for at, us in enumerate(times, start=1)
            ]
        )
        storage.log.sync()

        assert written(storage.log, Offset(1), spacing_us=1_000) == (
            (3, 1_400),
            (4, 2_500),
            (5, 9_000),
        )
        storage.log.truncate_after(Offset(0))


def test_no_node_starts_where_a_restore_was_broken_off(tmp_path: Path) -> None:
    (tmp_path / "restoring").mkdir()

    with pytest.raises(StorageError, match="was broken off"):
        open_storage(Config(data_dir=tmp_path))

    assert [path.name for path in tmp_path.iterdir()] == ["restoring"]
