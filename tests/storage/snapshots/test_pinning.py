"""The pin: a database file that holds one snapshot while writes go on."""

import subprocess
from contextlib import closing
from pathlib import Path

from nexus.storage.snapshots.pinning import FrozenFile, pin_for_copy
from storage.snapshotting import fill, generation_of, only_reading, opened, position


def copied(frozen: FrozenFile, target: Path) -> Path:
    """The file alone, copied by another process: an open() here would drop locks."""
    size = frozen.page_count * frozen.page_size
    with target.open("wb") as file:
        subprocess.run(
            ["/usr/bin/head", "-c", str(size), str(frozen.path)],
            stdout=file,
            check=True,
        )
    assert target.stat().st_size == size
    return target


def test_what_only_the_wal_held_is_in_the_pinned_file(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1, rows=2000)
        with pin_for_copy(database.path) as frozen:
            assert frozen is not None
            copy = copied(frozen, tmp_path / "copy.db")

    assert frozen.position == position(1)
    with closing(only_reading(copy)) as connection:
        assert generation_of(connection) == 1


def test_the_pinned_file_does_not_change_under_writes_and_checkpoints(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        with pin_for_copy(database.path) as frozen:
            assert frozen is not None
            for generation in range(2, 12):
                fill(database, generation=generation, rows=100 * generation)
                database.checkpoint()
            copy = copied(frozen, tmp_path / "copy.db")
        assert database.checkpoint()

    with closing(only_reading(copy)) as connection:
        assert generation_of(connection) == 1


def test_none_while_a_reader_holds_an_older_snapshot(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        with closing(only_reading(database.path)) as reader:
            reader.execute("begin; select count(*) from t").fetchall()
            fill(database, generation=2)
            with pin_for_copy(database.path) as frozen:
                assert frozen is None


def test_none_while_the_writers_transaction_lasts(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        database.begin()
        with pin_for_copy(database.path, wait_ms=20) as frozen:
            assert frozen is None
        database.rollback()
