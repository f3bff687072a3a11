"""A data directory from a snapshot's archive."""

import json
from pathlib import Path

import apsw
import pytest

from archive.keeping import keeper, rows_in
from cli.conftest import Run
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.storage.catalog import Catalog
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory
from nexus.storage.snapshots.file import FORMAT, Manifest
from nexus.storage.wal import WalSettings, WriteAheadLog
from storage.snapshotting import pack

POSITION = Position(Epoch(3), Offset(41), HistoryId("h"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    source = tmp_path / "source.db"
    database = Database.open(source)
    database.begin()
    database.writer.execute("create table t (a); insert into t values (1), (2)")
    database.commit(POSITION)
    database.close()
    packed = tmp_path / "s.tar.zst"
    manifest = Manifest(FORMAT, "c1", POSITION, 4096, "UTF-8", 0)
    pack(source, packed, manifest, level=1)
    return packed


def test_a_restored_directory_stands_where_the_snapshot_stood(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"

    ended = run("restore", archive, "--data", data)

    assert ended.status == 0
    assert ended.output.startswith("restored offset 41 of cluster c1")
    directory = DataDirectory(data)
    connection = apsw.Connection(
        str(directory.database), flags=apsw.SQLITE_OPEN_READONLY
    )
    assert connection.execute("select sum(a) from t").fetchall() == [(3,)]
    connection.close()
    catalog = Catalog.open(directory.catalog)
    assert catalog.state.cluster_id not in ("", "c1"), "a cluster of its own"
    assert catalog.state.epoch == 3
    catalog.close()
    log = WriteAheadLog.open(directory.wal, WalSettings())
    assert (log.last_offset, log.entry_count) == (41, 0)
    log.close()


def test_json_tells_the_position(run: Run, archive: Path, tmp_path: Path) -> None:
    ended = run("restore", archive, "--data", tmp_path / "data", "--json")

    assert json.loads(ended.output) == {
        "cluster_id": "c1",
        "offset": 41,
        "epoch": 3,
        "data_dir": str(tmp_path / "data"),
    }


def test_a_directory_with_data_is_never_overwritten(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    run("restore", archive, "--data", data)
    before = (data / "nexus.db").read_bytes()

    ended = run("restore", archive, "--data", data)

    assert ended.status == 1
    assert "is there and not empty" in ended.error
    assert (data / "nexus.db").read_bytes() == before


def test_what_is_no_archive_leaves_no_database(run: Run, tmp_path: Path) -> None:
    archive = tmp_path / "s.tar.zst"
    archive.write_bytes(b"hello")
    data = tmp_path / "data"

    ended = run("restore", archive, "--data", data)

    assert ended.status == 1
    assert ended.error.startswith(f"nexus: '{archive}': the archive")
    assert "damaged or no snapshot" in ended.error
    assert list(tmp_path.iterdir()) == [archive]


def test_a_database_over_the_limit_is_refused(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    ended = run("restore", archive, "--data", tmp_path / "data", "--max-size", "4KiB")

    assert ended.status == 1
    assert "the limit is 4096" in ended.error


def test_a_missing_archive_is_named(run: Run, tmp_path: Path) -> None:
    ended = run("restore", tmp_path / "none.tar.zst", "--data", tmp_path / "data")

    assert ended.status == 1
    assert "there is no file" in ended.error
    assert not (tmp_path / "data").exists()
    for name in (tmp_path / "none", f"file://{tmp_path}/none"):
        ended = run("restore", name, "--data", tmp_path / "data")
        assert f"there is no file or directory '{name}'" in ended.error


def test_a_size_that_is_none_is_wrong_usage(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    ended = run("restore", archive, "--data", tmp_path, "--max-size", "much")

    assert ended.status == 2


def test_any_moment_of_an_archive_becomes_a_directory(run: Run, tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert(3)
        master.carry()
        expected = master.rows

    newest = run("restore", tmp_path / "the archive", "--data", tmp_path / "newest")
    url = f"file://{tmp_path}/the%20archive"
    older = run("restore", url, "--data", tmp_path / "o", "--to-offset", 3, "--json")

    assert newest.status == older.status == 0, newest.error + older.error
    assert newest.output.startswith("restored offset 5 of cluster c1 into")
    assert rows_in(tmp_path / "newest") == expected[5]
    told = json.loads(older.output)
    assert (told["offset"], told["cluster_id"], told["runs"]) == (3, "c1", 1)
    assert rows_in(tmp_path / "o") == expected[3]


def test_a_fork_beside_the_restored_history_is_told(run: Run, tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        master.store.put(f"c1/{0:020d}-fork/history.json", b"{}")

    ended = run("restore", tmp_path / "the archive", "--data", tmp_path / "data")

    assert ended.status == 0
    assert "holds the history 0-fork (--history)" in ended.error


def test_what_is_missing_in_an_archive_is_told_in_one_line(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()

    ended = run("restore", tmp_path / "none", "--data", tmp_path / "data")

    assert ended.status == 1
    assert f"archive {tmp_path}/none holds nothing of any cluster" in ended.error
    assert ended.error.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_one_snapshot_has_one_moment(run: Run, archive: Path, tmp_path: Path) -> None:
    ended = run("restore", archive, "--data", tmp_path / "d", "--to-offset", 3)

    assert ended.status == 2
    assert "is one snapshot" in ended.error


def test_a_snapshot_clears_away_a_restore_that_was_broken_off(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "data" / "restoring").mkdir(parents=True)
    (tmp_path / "data" / "nexus.db").write_bytes(b"half of one")

    ended = run("restore", archive, "--data", tmp_path / "data")

    assert ended.status == 0, ended.error
    assert not (tmp_path / "data" / "restoring").exists()
    reader = apsw.Connection(
        str(tmp_path / "data" / "nexus.db"), flags=apsw.SQLITE_OPEN_READONLY
    )
    assert reader.execute("select sum(a) from t").get == 3
    reader.close()
