"""Snapshots on their way: what is sent, and what a crash while installing leaves."""

import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from nexus.config import Config
from nexus.errors import SnapshotError, StorageError
from nexus.model.position import (
    Position,
)
from nexus.node.fullsync import install_snapshot
from nexus.node.startup import Standing, open_standing
from nexus.storage.database import Database
from nexus.storage.receiver import SnapshotReceiver
from nexus.storage.snapshot import SnapshotSettings, SnapshotStore
from nexus.storage.wal import WriteAheadLog
from storage.logs import batch, file_size_limit
from storage.snapshots import MAX_SIZE, fill, generation_of, opened, position

BEFORE, TARGET, LOG_END = 10, 12, 15
"""The database stands at BEFORE, its log ends at LOG_END, the snapshot is of TARGET:
an offset that the log holds too, from another history."""

INSTALLER = dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from node.test_fullsync import dying_before, arrived, put
    from nexus.config import Config
    from nexus.node.startup import open_standing

    root, step = Path(sys.argv[1]), int(sys.argv[2])
    standing = open_standing(Config(data_dir=root / "data"))
    receiver = arrived(root, standing)
    dying_before(step)
    put(standing, receiver)
    os.kill(os.getpid(), signal.SIGUSR1)
    """
)
"""Receives the snapshot, and dies while it installs it, before the step it is told."""


def dying_before(step: int) -> None:
    """Have this process end before one of the steps that installing takes."""
    from nexus.node import fullsync
    from nexus.storage.catalog import Catalog

    left = itertools.count(step, -1)

    def counted(owner: object, name: str) -> None:
        call = getattr(owner, name)

        def die_or_call(*arguments: object, **options: object) -> object:
            if next(left) == 0:
                import os

                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        setattr(owner, name, die_or_call)

    counted(SnapshotReceiver, "finish")
    counted(Catalog, "update")
    counted(fullsync, "install_into")
    counted(Database, "reload")
    counted(Database, "empty_wal")
    counted(WriteAheadLog, "reset")
    counted(SnapshotReceiver, "drop")


def store_at(root: Path) -> SnapshotStore:
    """The master's snapshots."""
    directory = root / "master"
    directory.mkdir(exist_ok=True)
    return SnapshotStore(directory, SnapshotSettings(chunk_size=4096))


def prepare(root: Path) -> None:
    """A master's snapshot of TARGET; a replica at BEFORE, its log at LOG_END."""
    with opened(root / "master.db") as database:
        fill(database, generation=TARGET)
        store_at(root).make(database, "c")
    standing = open_standing(Config(data_dir=root / "data"))
    fill(standing.database, generation=BEFORE)
    standing.log.append(batch(1, LOG_END))
    standing.log.sync()
    standing.close()


def arrived(root: Path, standing: Standing) -> SnapshotReceiver:
    """A receiver to which all chunks have come."""
    store = store_at(root)
    info = store.latest()
    assert info is not None
    receiver = SnapshotReceiver(standing.directory.snapshots)
    meta = store.meta(info)
    receiver.begin(meta)
    for index in range(meta.chunk_count):
        receiver.add(store.chunk(info, index))
    return receiver


def put(standing: Standing, receiver: SnapshotReceiver) -> Position:
    """Install what has arrived."""
    return install_snapshot(
        receiver,
        standing.database,
        standing.log,
        standing.catalog,
        work=standing.directory.snapshots / "installing.work",
        max_size=MAX_SIZE,
    )


@contextmanager
def replica(root: Path) -> Iterator[Standing]:
    """The replica's parts, opened as at a start."""
    standing = open_standing(Config(data_dir=root / "data"))
    try:
        yield standing
    finally:
        standing.close()


def assert_as_before(standing: Standing) -> None:
    assert generation_of(standing.database.writer) == BEFORE
    assert standing.database.position == position(BEFORE)
    assert (standing.log.first_offset, standing.log.last_offset) == (1, LOG_END)
    assert standing.catalog.state.intent is None


def assert_installed(standing: Standing) -> None:
    assert generation_of(standing.database.writer) == TARGET
    assert standing.database.position == position(TARGET)
    assert standing.log.entry_count == 0
    assert standing.log.last_offset == TARGET
    assert standing.catalog.state.intent is None


def test_an_installed_snapshot_replaces_rows_and_log(tmp_path: Path) -> None:
    prepare(tmp_path)
    with replica(tmp_path) as standing:
        assert put(standing, arrived(tmp_path, standing)) == position(TARGET)

        assert_installed(standing)
        assert list(standing.directory.snapshots.iterdir()) == []
    with replica(tmp_path) as standing:
        assert_installed(standing)


def test_a_crash_before_any_step_is_mended_at_the_next_start(tmp_path: Path) -> None:
    died = []
    for step in itertools.count():
        root = tmp_path / str(step)
        root.mkdir()
        prepare(root)
        ended = subprocess.run(
            [sys.executable, "-c", INSTALLER, str(root), str(step)],
            check=False,
            env={"PYTHONPATH": ":".join(sys.path)},
        ).returncode
        if ended == -signal.SIGUSR1:
            break
        assert ended == -signal.SIGKILL
        with replica(root) as standing:
            new = standing.database.position == position(TARGET)
            died.append(new)
            (assert_installed if new else assert_as_before)(standing)
            # Nothing is left but by design: neither a copy nor a chunk.
            SnapshotReceiver(standing.directory.snapshots)
            assert put(standing, arrived(root, standing)) == position(TARGET)
            assert_installed(standing)

    assert died == [False, False, False, True, True, True, True, True]


def test_an_install_that_fails_leaves_no_intent(tmp_path: Path) -> None:
    prepare(tmp_path)
    with replica(tmp_path) as standing:
        receiver = arrived(tmp_path, standing)
        limit = standing.database.path.stat().st_size
        with file_size_limit(limit), pytest.raises((StorageError, SnapshotError)):
            put(standing, receiver)

        assert_as_before(standing)


def test_a_refused_snapshot_cuts_nothing_from_the_log_at_a_later_start(
    tmp_path: Path,
) -> None:
    prepare(tmp_path)
    with replica(tmp_path) as standing:
        receiver = arrived(tmp_path, standing)
        with pytest.raises(SnapshotError, match=r"snapshot\.max_size"):
            install_snapshot(
                receiver,
                standing.database,
                standing.log,
                standing.catalog,
                work=tmp_path / "work",
                max_size=1,
            )
        # Entries that were acknowledged are applied after all.
        fill(standing.database, generation=BEFORE + 1)

    with replica(tmp_path) as standing:
        assert standing.database.position == position(BEFORE + 1)
        assert standing.log.last_offset == LOG_END
