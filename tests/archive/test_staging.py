"""A data directory is made whole or not at all, also where no rename can put it."""

from pathlib import Path

import pytest

from archive.keeping import Keeper, keeper, rows_in
from archive.test_restoring import assert_nothing_left
from nexus.archive.restoring import Moment, restore
from nexus.archive.staging import LOST, is_vacant, staging
from nexus.errors import ArchiveError, SnapshotError, StorageError


def fixed(root: Path) -> Path:
    """A directory that no other can be renamed to, as with a mount point."""
    volume = root / "volume"
    volume.mkdir()
    link = root / "copy"
    link.symlink_to(volume)
    return link


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def broken_off(target: Path, master: Keeper) -> None:
    """As a power cut leaves it: some of it is in its place."""
    master.restored("whole")
    (target / "restoring").mkdir()
    (master.root / "whole").rename(target / "restoring" / "data")
    (target / "restoring" / "data" / "wal").rename(target / "wal")
    for name in ("nexus.db", "catalog.db-journal"):
        (target / "restoring" / "data" / name).rename(target / name)


def test_a_directory_that_stays_in_its_place_is_filled_from_within(
    tmp_path: Path,
) -> None:
    target = fixed(tmp_path)
    (target / LOST).mkdir()
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert(3)
        master.carry()

        master.restored("copy")

        made = {"nexus.db", "catalog.db", "wal", "snapshots", "diverged"}
        assert names(target) == made | {"catalog.db-journal", LOST}
        assert rows_in(target) == master.rows[master.last]
    assert target.is_symlink()


def test_where_it_fails_that_directory_is_empty_again(tmp_path: Path) -> None:
    target = fixed(tmp_path)
    with keeper(tmp_path) as master:
        master.snapshot()

        with pytest.raises(SnapshotError, match="the limit is 4096"):
            restore(master.store, target, Moment(), max_size=4096)

    assert names(target) == set()


def test_what_fails_while_it_is_put_in_place_is_taken_out_again(tmp_path: Path) -> None:
    target = fixed(tmp_path)

    def make_it() -> None:
        with staging(target) as stage:
            (stage.work / "catalog.db").write_text("made")
            (stage.work / "snapshots").mkdir()
            (stage.work / "wal").mkdir()
            (target / "wal").write_text("of somebody who came meanwhile")
            stage.publish()

    with pytest.raises(StorageError, match="renaming"):
        make_it()

    assert names(target) == set()


def test_what_a_power_cut_has_left_is_cleared_away_by_the_next_restore(
    tmp_path: Path,
) -> None:
    target = fixed(tmp_path)
    with keeper(tmp_path) as master:
        master.snapshot()
        broken_off(target, master)
        assert is_vacant(target)

        master.restored("copy")

        assert rows_in(target) == master.rows[master.last]
    assert "restoring" not in names(target)


def test_what_is_not_of_a_broken_restore_is_left_alone(tmp_path: Path) -> None:
    target = fixed(tmp_path)
    with keeper(tmp_path) as master:
        master.snapshot()
        broken_off(target, master)
        (target / "mine").write_text("mine")

        with pytest.raises(ArchiveError, match="is there and not empty"):
            master.restored("copy")

    assert "nexus.db" in names(target)


def test_what_a_killed_restore_has_left_beside_is_removed_by_the_next(
    tmp_path: Path,
) -> None:
    left, other = tmp_path / "copy.restoring-0123abcd", tmp_path / "copy.restoring-mine"
    for each in (left, other):
        each.mkdir()
        (each / "nexus.db").write_text("half of it")

    with staging(tmp_path / "copy"):
        assert not left.exists()
        assert other.exists()


def test_a_restore_that_is_at_work_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "copy"

    with staging(target) as first, staging(target) as second:
        assert first.work != second.work
        assert (first.work.exists(), second.work.exists()) == (True, True)


def test_two_restores_at_once_do_not_mix(tmp_path: Path) -> None:
    target = fixed(tmp_path)

    with staging(target) as stage:
        (stage.work / "nexus.db").write_text("made")
        with pytest.raises(ArchiveError, match="another restore"), staging(target):
            raise AssertionError("it was let in")

        assert (stage.work / "nexus.db").read_text() == "made"


def test_without_a_place_beside_it_a_directory_is_filled_from_within(
    tmp_path: Path,
) -> None:
    too_long = tmp_path / ("n" * 250)
    with pytest.raises(StorageError, match="making"), staging(too_long):
        raise AssertionError("it was made")
    too_long.mkdir()

    with staging(too_long) as stage:
        (stage.work / "nexus.db").write_text("made")
        stage.publish()

    assert names(too_long) == {"nexus.db"}


def test_where_it_is_called_from_a_directory_is_filled_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "data"
    here.mkdir()
    monkeypatch.chdir(here)

    for target in (Path(), here):
        with staging(target) as stage:
            (stage.work / "catalog.db").touch()
            stage.publish()

        assert names(Path.cwd()) == {"catalog.db"}
        (here / "catalog.db").unlink()


def test_beside_its_place_an_empty_directory_keeps_its_rights(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.mkdir(mode=0o700)

    with staging(target) as stage:
        (stage.work / "nexus.db").write_text("made")
        assert not stage.within
        assert names(target) == set()
        stage.publish()

    assert names(target) == {"nexus.db"}
    assert target.stat().st_mode & 0o777 == 0o700


def test_a_file_is_no_place_for_it(tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("mine")

    assert not is_vacant(tmp_path / "copy")
    with pytest.raises(ArchiveError, match="not empty"), staging(tmp_path / "copy"):
        raise AssertionError("it was let in")
    (tmp_path / "copy").unlink()
    assert_nothing_left(tmp_path)
