"""Any retained moment comes back, or what is missing is named and nothing is left."""

import random
from pathlib import Path

import apsw
import pytest

from archive.keeping import MAX_SIZE, Keeper, catalog_of, keeper, rows_in
from nexus.archive.restoring import Moment, restore
from nexus.errors import ArchiveError, ArchiveIncompleteError, SnapshotError
from nexus.model.position import Offset
from nexus.storage.wal import WalSettings, WriteAheadLog

SEED = 5


def busy(master: Keeper, *, steps: int, seed: int = SEED) -> None:
    """Random transactions; snapshots and runs in between."""
    chance = random.Random(seed)
    master.snapshot()
    for _ in range(steps):
        match chance.choice(("insert", "insert", "update", "delete", "runs", "copy")):
            case "insert":
                master.insert(chance.randint(1, 4))
            case "update":
                master.write("update t set v = v || 'x' where id % 3 = 0")
            case "delete":
                master.write(("delete from t where id = ?", (chance.randint(1, 40),)))
            case "runs":
                master.carry()
            case _:
                master.snapshot()
    master.carry()


def test_every_moment_comes_back_as_it_was(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        busy(master, steps=60)
        chance = random.Random(SEED)
        for offset in chance.sample(sorted(master.rows), 12):
            restored = master.restored(f"o{offset}", Moment(offset=Offset(offset)))

            assert restored.position.offset == offset
            assert rows_in(tmp_path / f"o{offset}") == master.rows[offset]


def test_every_time_brings_back_the_last_transaction_until_then(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        busy(master, steps=40, seed=8)
        chance = random.Random(SEED)
        oldest, newest = min(master.times.values()), max(master.times.values())
        for number in range(10):
            time_us = chance.randint(oldest, newest + 1_000)
            expected = max(o for o, time in master.times.items() if time <= time_us)

            restored = master.restored(f"t{number}", Moment(time_us=time_us))

            assert restored.position.offset == expected
            assert rows_in(tmp_path / f"t{number}") == master.rows[expected]


def test_a_time_before_all_that_is_kept_is_refused(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        busy(master, steps=3)

        with pytest.raises(ArchiveIncompleteError, match="as old as that"):
            master.restored("copy", Moment(time_us=1))

    assert not (tmp_path / "copy").exists()


def test_a_restored_node_is_of_a_cluster_of_its_own(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.desk.database.writer.execute(
            "insert into nexus_membership values (1, '{}')"
        )
        busy(master, steps=3)
        restored = master.restored("copy")

    state = catalog_of(tmp_path / "copy")
    assert state.cluster_id not in ("", restored.cluster_id)
    assert (state.epoch, state.node_id) == (1, "")
    log = WriteAheadLog.open(tmp_path / "copy" / "wal", WalSettings())
    assert (log.last_offset, log.entry_count) == (restored.position.offset, 0)
    log.close()
    made = apsw.Connection(str(tmp_path / "copy" / "nexus.db"))
    assert made.execute("select * from nexus_membership").fetchall() == []
    made.close()


def test_a_replica_keeps_cluster_and_voters(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        busy(master, steps=3)
        restored = master.restored("copy", as_replica=True)

    assert catalog_of(tmp_path / "copy").cluster_id == restored.cluster_id == "c1"


def test_a_damaged_snapshot_gives_way_to_an_older_one(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        first = master.snapshot()
        master.insert(3)
        master.carry()
        name = master.snapshot()
        path = tmp_path / "the archive" / name
        path.write_bytes(path.read_bytes()[:-20])

        restored = master.restored("copy")

        assert restored.snapshot == first
        assert rows_in(tmp_path / "copy") == master.rows[master.last]


def test_a_damaged_snapshot_without_an_older_one_is_named(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        name = master.snapshot()
        path = tmp_path / "the archive" / name
        path.write_bytes(path.read_bytes()[:-20])

        with pytest.raises(SnapshotError, match=f"{name}: .*ends early"):
            master.restored("copy")

    assert_nothing_left(tmp_path)


def test_a_snapshot_under_another_name_is_refused(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        name = master.snapshot()
        master.insert()
        master.carry()
        path = tmp_path / "the archive" / name
        path.rename(path.with_name(path.name.replace("02-", "03-", 1)))

        with pytest.raises(SnapshotError, match="it holds 1:2@"):
            master.restored("copy")

    assert_nothing_left(tmp_path)


def test_a_missing_run_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        for _ in range(3):
            master.insert(2)
            master.carry()
        _, run, _ = sorted(master.uploader.look().runs)
        master.store.delete([str(run)])

        with pytest.raises(ArchiveIncompleteError, match=r"entries 5 to 6 of cluster"):
            master.restored("copy")
        assert_nothing_left(tmp_path)
        master.restored("copy", Moment(offset=Offset(4)))

        assert rows_in(tmp_path / "copy") == master.rows[4]


def test_a_damaged_run_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        run = master.archive(2)
        path = tmp_path / "the archive" / str(run)
        path.write_bytes(path.read_bytes()[:-1])

        with pytest.raises(ArchiveIncompleteError, match=f"object {run}: its CRC"):
            master.restored("copy")

    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("spoiled", [b"", b"[]", b"[[[1,"])
def test_a_damaged_history_is_named(tmp_path: Path, spoiled: bytes) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        (reign,) = master.uploader.look().histories
        master.store.put(reign.history, spoiled)

        with pytest.raises(ArchiveIncompleteError, match=reign.history):
            master.restored("copy")
        master.store.delete([reign.history])
        with pytest.raises(ArchiveIncompleteError, match=reign.history):
            master.restored("copy")


def test_a_directory_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        (tmp_path / "copy").mkdir()
        (tmp_path / "copy" / "mine").write_text("mine")

        with pytest.raises(ArchiveError, match="is there and not empty"):
            master.restored("copy")

        assert [path.name for path in (tmp_path / "copy").iterdir()] == ["mine"]
        (tmp_path / "copy" / "mine").unlink()
        master.assert_restorable()


def test_a_database_over_the_limit_leaves_nothing(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()

        with pytest.raises(SnapshotError, match="the limit is 4096"):
            restore(master.store, tmp_path / "copy", Moment(), max_size=4096)

    assert_nothing_left(tmp_path)
    assert MAX_SIZE > 4096


def test_many_runs_and_marks_are_applied_in_order(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        for _ in range(12):
            master.insert()
            master.carry()

        restored = master.restored("copy")

        assert restored.runs == 12
        assert rows_in(tmp_path / "copy") == master.rows[master.last]


def test_a_time_is_looked_for_in_whichever_run_reaches_furthest(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert(6)
        master.carry()
        other = master.begun()
        other.carried = Offset(3)
        other.carry(Offset(4))

        restored = master.restored("copy", Moment(time_us=master.times[7]))

        assert restored.position.offset == 7


def assert_nothing_left(root: Path) -> None:
    assert [path.name for path in root.iterdir() if "copy" in path.name] == []
