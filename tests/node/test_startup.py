"""A data directory is opened, and what a crash left half done is mended."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexus.config import Config
from nexus.errors import CorruptLogError, DataDirectoryLockedError, StorageError
from nexus.model.cluster import Role
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Operation, Reigned, Schema
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position, Reign
from nexus.node.startup import (
    PROMOTION_STEP,
    Standing,
    effective_role,
    log_history,
    new_history_id,
    next_epoch,
    open_standing,
    redo,
)
from nexus.storage.apply import Applier
from nexus.storage.catalog import Catalog, Intent
from node.builders import REIGN, mark, settings

CREATE = Schema("create table t(id integer primary key)")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path)


@contextmanager
def opened(config: Config) -> Iterator[Standing]:
    standing = open_standing(config)
    try:
        yield standing
    finally:
        standing.close()


def logged(standing: Standing, *operations: Operation) -> None:
    """Entries that stand durably in the log and not in the database."""
    first = standing.log.last_offset + 1
    records = [
        Record(
            REIGN.epoch,
            Offset(first + place),
            encode_payload(Payload(0, "", b"", (operation,))),
        )
        for place, operation in enumerate(operations)
    ]
    standing.log.append(records)
    standing.log.sync()


def test_a_new_directory_gets_a_node_id_that_stays(config: Config) -> None:
    with opened(config) as standing:
        node_id = standing.catalog.state.node_id
        assert node_id
    with opened(config) as standing:
        assert standing.catalog.state.node_id == node_id


def test_a_directory_has_one_owner_at_a_time(config: Config) -> None:
    with opened(config), pytest.raises(DataDirectoryLockedError, match="in use by"):
        open_standing(config)
    with opened(config):
        pass


def test_what_the_log_holds_beyond_the_database_is_done_again(config: Config) -> None:
    with opened(config) as standing:
        logged(standing, Reigned(REIGN), CREATE, mark(), Schema("create table u(x)"))
    with opened(config) as standing:
        assert standing.database.position.offset == 0
        assert log_history(standing).reigns == (REIGN,)
        redo(standing)
        assert standing.database.position == Position(
            REIGN.epoch, Offset(4), REIGN.history_id
        )
        assert standing.database.history().reigns == (REIGN,)
        redo(standing)  # nothing is left to do
        with standing.database.reader() as reader:
            assert reader.execute("select count(*) from t, u").fetchall() == [(0,)]


def test_the_history_goes_on_in_the_log_behind_the_database(config: Config) -> None:
    later = Reign(Epoch(2), HistoryId("beef"), "other", Offset(3), 0, "failover")
    with opened(config) as standing:
        logged(standing, Reigned(REIGN), CREATE)
        redo(standing)
        logged(standing, Reigned(later))
        assert log_history(standing).reigns == (REIGN, later)
        assert standing.database.history().reigns == (REIGN,)


def test_parts_of_different_copies_are_told_apart_and_the_directory_is_let_go(
    config: Config, tmp_path: Path
) -> None:
    with opened(config) as standing:
        logged(standing, Reigned(REIGN), CREATE, mark())
        redo(standing)
    other = settings(tmp_path / "other")
    with opened(other) as standing:
        logged(standing, Reigned(REIGN))
        redo(standing)
    database = tmp_path / "other" / "nexus.db"
    own = database.read_bytes()
    database.write_bytes((tmp_path / "nexus.db").read_bytes())

    for _ in range(2):  # the first refusal leaves nothing locked or open
        with pytest.raises(CorruptLogError, match="parts of different copies"):
            open_standing(other)

    database.write_bytes(own)
    with opened(other) as standing:
        assert standing.database.position.offset == 1


def test_a_catalog_that_is_none_refuses_the_start_and_lets_the_directory_go(
    config: Config, tmp_path: Path
) -> None:
    (tmp_path / "catalog.db").write_bytes(b"no database at all" * 100)
    for _ in range(2):
        with pytest.raises(StorageError, match="is no catalog"):
            open_standing(config)


def test_an_empty_log_begins_right_behind_the_database(config: Config) -> None:
    with opened(config) as standing:
        logged(standing, Reigned(REIGN), CREATE)
        redo(standing)
        standing.log.reset(Offset(0))
        standing.catalog.update(log_watermark=Offset(0))
    with opened(config) as standing:
        assert standing.log.last_offset == standing.database.position.offset == 2


def interrupted(config: Config, *, replaced: bool) -> None:
    """A full sync that ended in a crash, before or after SQLite's commit."""
    with opened(config) as standing:
        logged(standing, Reigned(REIGN), CREATE, mark())
        redo(standing)
        standing.catalog.update(intent=Intent("full_sync", standing.database.position))
        if replaced:
            far = Record(
                REIGN.epoch, Offset(4), encode_payload(Payload(0, "", b"", ()))
            )
            Applier(standing.database).apply([far])


def test_a_full_sync_that_had_replaced_the_database_resets_the_log(
    config: Config,
) -> None:
    interrupted(config, replaced=True)
    with opened(config) as standing:
        assert standing.database.position.offset == 4
        assert (standing.log.entry_count, standing.log.last_offset) == (0, 4)
        assert standing.catalog.state.intent is None


def test_a_full_sync_that_had_replaced_nothing_leaves_the_log_as_it_was(
    config: Config,
) -> None:
    interrupted(config, replaced=False)
    with opened(config) as standing:
        assert (standing.log.entry_count, standing.log.last_offset) == (3, 3)
        assert standing.catalog.state.intent is None


def test_a_clean_stop_tells_the_next_start_how_far_the_log_was_durable(
    config: Config, tmp_path: Path
) -> None:
    with opened(config) as standing:
        logged(standing, Reigned(REIGN), CREATE, mark())
        redo(standing)
    (segment,) = (tmp_path / "wal").glob("*")
    whole = segment.read_bytes()
    end = len(whole.rstrip(b"\0"))
    segment.write_bytes(whole[: end - 1] + b"\0" + whole[end:])

    with pytest.raises(CorruptLogError):
        open_standing(config)


@pytest.mark.parametrize(
    ("configured", "kept", "effective"),
    [
        (Role.MASTER, Role.STANDALONE, Role.MASTER),
        (Role.REPLICA, Role.STANDALONE, Role.REPLICA),
        (Role.MASTER, Role.REPLICA, Role.REPLICA),
        (Role.REPLICA, Role.MASTER, Role.MASTER),
        (Role.STANDALONE, Role.MASTER, Role.STANDALONE),
        (Role.STANDALONE, Role.REPLICA, Role.STANDALONE),
    ],
)
def test_a_role_taken_at_run_time_outlives_a_restart(
    tmp_path: Path, configured: Role, kept: Role, effective: Role
) -> None:
    master = {"replication__master_addr": "127.0.0.1:1"}
    config = settings(
        tmp_path, configured.value, **(master if configured is Role.REPLICA else {})
    )
    catalog = Catalog.open(tmp_path / "catalog.db")
    catalog.update(role=kept)

    assert effective_role(config, catalog) is effective
    catalog.close()


def test_a_new_epoch_is_above_everything_that_was_met(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog.db")
    assert next_epoch(catalog, EpochHistory()) == 1
    assert next_epoch(catalog, EpochHistory((REIGN,))) == 2
    catalog.update(epoch=Epoch(9))
    assert next_epoch(catalog, EpochHistory((REIGN,))) == 10
    assert (
        next_epoch(catalog, EpochHistory(), step=PROMOTION_STEP) == 9 + PROMOTION_STEP
    )
    catalog.close()


def test_two_reigns_never_share_a_name() -> None:
    assert len({new_history_id() for _ in range(100)}) == 100
