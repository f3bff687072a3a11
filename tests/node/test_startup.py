"""What a node stands on is opened in agreement, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexus.config import Config
from nexus.config.settings import ReplicationSettings
from nexus.errors import (
    CorruptLogError,
    DataDirectoryLockedError,
    DiskFullError,
    StorageError,
)
from nexus.model.cluster import Role
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Reigned
from nexus.model.position import ORIGIN, Epoch, HistoryId, Offset, Reign
from nexus.node.startup import (
    PROMOTION_STEP,
    Standing,
    effective_role,
    log_history,
    log_settings,
    new_history_id,
    next_epoch,
    open_standing,
    redo,
    written,
)
from nexus.storage.catalog import Intent
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory, DirectoryLock
from storage.logs import batch
from storage.pair import Pair, content
from storage.snapshotting import fill, position


@contextmanager
def standing_at(root: Path, role: Role = Role.STANDALONE) -> Iterator[Standing]:
    """Opened for the block."""
    replication = ReplicationSettings(role=role)
    standing = open_standing(Config(data_dir=root, replication=replication))
    try:
        yield standing
    finally:
        standing.close()


def assert_free(root: Path) -> None:
    """Nobody owns the data directory."""
    DirectoryLock.acquire(DataDirectory(root)).release()


def test_a_new_directory_begins_at_the_origin_under_a_name_that_stays(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path) as standing:
        node_id = standing.catalog.state.node_id
        assert node_id
        assert standing.database.position == ORIGIN
        assert standing.log.entry_count == 0
    with standing_at(tmp_path) as standing:
        assert standing.catalog.state.node_id == node_id


def test_the_directory_has_one_owner_until_it_is_closed(tmp_path: Path) -> None:
    with standing_at(tmp_path), pytest.raises(DataDirectoryLockedError):
        open_standing(Config(data_dir=tmp_path))

    assert_free(tmp_path)


def test_a_clean_stop_leaves_its_watermark(tmp_path: Path) -> None:
    with standing_at(tmp_path) as standing:
        standing.log.append(batch(1, 5))
        standing.log.sync()
        assert standing.catalog.state.log_watermark == 0
    with standing_at(tmp_path) as standing:
        assert standing.catalog.state.log_watermark == 5


def test_a_log_that_lost_what_was_durable_is_refused(tmp_path: Path) -> None:
    with standing_at(tmp_path) as standing:
        standing.log.append(batch(1, 5))
        standing.log.sync()
    for segment in DataDirectory(tmp_path).wal.glob("*.wal"):
        segment.unlink()

    with pytest.raises(CorruptLogError):
        open_standing(Config(data_dir=tmp_path))

    assert_free(tmp_path)


def test_parts_of_different_copies_are_refused_and_leave_the_directory_free(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path) as standing:
        standing.log.append(batch(1, 5))
        standing.log.sync()
        fill(standing.database, generation=9)

    with pytest.raises(CorruptLogError, match="parts of different copies were mixed"):
        open_standing(Config(data_dir=tmp_path))

    assert_free(tmp_path)


def test_hard_case_2_parts_that_do_not_fit_are_a_full_sync_where_a_master_is_expected(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path) as standing:
        standing.log.append(batch(1, 5))
        standing.log.sync()
        fill(standing.database, generation=9)

    for _ in range(2):
        with standing_at(tmp_path, Role.REPLICA) as standing:
            state, log = standing.catalog.state, standing.log
            assert "parts of different copies were mixed" in state.incomplete
            assert (log.first_offset, log.last_offset) == (10, 9)
            assert standing.database.position.offset == 9
    (kept,) = DataDirectory(tmp_path).diverged.glob("log-*")
    assert list(kept.glob("*.wal"))


def test_hard_case_12_a_replica_whose_log_is_gone_is_incomplete(tmp_path: Path) -> None:
    with standing_at(tmp_path, Role.REPLICA) as standing:
        standing.log.append(batch(1, 5))
        standing.log.sync()
    for segment in DataDirectory(tmp_path).wal.glob("*.wal"):
        segment.unlink()

    with standing_at(tmp_path, Role.REPLICA) as standing:
        assert standing.catalog.state.incomplete
        assert standing.log.entry_count == 0


def test_hard_case_2_a_witness_whose_log_begins_after_its_base_is_incomplete(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path, Role.WITNESS) as standing:
        standing.log.reset(Offset(3))
        standing.log.append(batch(4, 5))
        standing.log.sync()

    with standing_at(tmp_path, Role.WITNESS) as standing:
        assert "goes on after 0" in standing.catalog.state.incomplete
        assert standing.log.last_offset == 0


@pytest.mark.parametrize("name", ["nexus.db", "catalog.db"])
def test_a_file_that_cannot_be_opened_leaves_the_directory_free(
    tmp_path: Path, name: str
) -> None:
    with standing_at(tmp_path):
        pass
    (tmp_path / name).write_bytes(b"no database " * 1000)

    with pytest.raises(StorageError):
        open_standing(Config(data_dir=tmp_path))

    assert_free(tmp_path)


def test_a_stop_that_fails_frees_the_directory_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_: Database) -> bool:
        raise DiskFullError("no room to move the pages")

    standing = open_standing(Config(data_dir=tmp_path))
    monkeypatch.setattr(Database, "checkpoint", no_room)

    with pytest.raises(DiskFullError):
        standing.close()

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
    with standing_at(tmp_path) as standing:
        fill(standing.database, generation=9)
    with standing_at(tmp_path) as standing:
        assert (standing.log.first_offset, standing.log.last_offset) == (10, 9)


@pytest.mark.parametrize(("before", "target"), [(7, 9), (9, 12), (10, 12)])
def test_hard_case_2_a_full_sync_was_done_if_the_database_stands_where_it_led(
    tmp_path: Path, before: int, target: int
) -> None:
    with standing_at(tmp_path) as standing:
        standing.log.append(batch(1, 15))
        standing.log.sync()
        fill(standing.database, generation=9)
        intent = Intent("full_sync", position(before), position(target))
        standing.catalog.update(intent=intent)

    for _ in range(2):
        with standing_at(tmp_path) as standing:
            replaced = target == 9
            assert standing.log.last_offset == (9 if replaced else 15)
            assert standing.log.entry_count == (0 if replaced else 15)
            assert standing.catalog.state.intent is None


@pytest.mark.parametrize(("target", "end"), [(9, 9), (12, 12), (7, 15)])
def test_a_rewind_is_ended_or_forgotten_as_the_database_says(
    tmp_path: Path, target: int, end: int
) -> None:
    with standing_at(tmp_path) as standing:
        standing.log.append(batch(1, 15))
        standing.log.sync()
        fill(standing.database, generation=9)
        intent = Intent("rewind", position(15), position(target))
        standing.catalog.update(intent=intent, log_watermark=Offset(15))

    for _ in range(2):
        with standing_at(tmp_path) as standing:
            assert standing.log.last_offset == end
            assert standing.database.position.offset == 9
            assert standing.catalog.state.intent is None


def test_what_the_log_holds_beyond_the_database_is_applied(tmp_path: Path) -> None:
    (tmp_path / "pair").mkdir()
    with (
        Pair(tmp_path / "pair") as pair,
        standing_at(tmp_path / "data") as standing,
    ):
        pair.write("create table t(id integer primary key, x)")
        for number in range(50):
            pair.write(f"insert into t values ({number}, 'row')")
        standing.log.append(pair.records)
        standing.log.sync()

        redo(standing)
        redo(standing)

        assert standing.database.position.offset == len(pair.records)
        assert content(standing.database) == content(pair.master)


def test_the_history_reaches_to_the_end_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "pair").mkdir()
    with (
        Pair(tmp_path / "pair") as pair,
        standing_at(tmp_path / "data") as standing,
    ):
        pair.write("create table t(id integer primary key, x)")
        standing.log.append(pair.records)
        redo(standing)
        reign = Reign(Epoch(2), HistoryId("next"), "b", Offset(3), 0, "failover")
        payload = Payload(0, "", b"", (Reigned(reign),), b"")
        standing.log.append([Record(Epoch(2), Offset(3), encode_payload(payload))])
        standing.log.sync()

        assert standing.database.history().epoch == 1
        history = log_history(standing)
        assert [found.epoch for found in history.reigns] == [1, 2]
        assert next_epoch(standing.catalog, history) == 3
        standing.catalog.update(epoch=Epoch(7))
        assert next_epoch(standing.catalog, history, step=PROMOTION_STEP) == 1007


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
    with standing_at(tmp_path) as standing:
        standing.catalog.update(role=kept)
    with standing_at(tmp_path) as standing:
        assert effective_role(config, standing.catalog) is effective


def test_no_two_reigns_have_one_name() -> None:
    assert len({new_history_id() for _ in range(100)}) == 100


def test_when_the_entries_of_a_log_were_written_neighbours_as_young_as_the_youngest(
    tmp_path: Path,
) -> None:
    with standing_at(tmp_path) as standing:
        times = [1_000, 1_400, 1_200, 2_500, 9_000]
        standing.log.append(
            [
                Record(Epoch(1), Offset(at), encode_payload(Payload(us, "", b"", ())))
                for at, us in enumerate(times, start=1)
            ]
        )
        standing.log.sync()

        assert written(standing.log, Offset(1), spacing_us=1_000) == (
            (3, 1_400),
            (4, 2_500),
            (5, 9_000),
        )
        standing.log.truncate_after(Offset(0))


def test_no_node_starts_where_a_restore_was_broken_off(tmp_path: Path) -> None:
    (tmp_path / "restoring").mkdir()

    with pytest.raises(StorageError, match="was broken off"):
        open_standing(Config(data_dir=tmp_path))

    assert [path.name for path in tmp_path.iterdir()] == ["restoring"]
