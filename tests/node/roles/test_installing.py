"""What an installed snapshot replaces, and what a crash meanwhile leaves."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from nexus.config import Config
from nexus.errors import DiskFullError, SnapshotError, StorageError
from nexus.model.position import Position
from nexus.node.roles import installing
from nexus.node.roles.installing import install_snapshot
from nexus.node.startup import Storage, open_storage
from nexus.storage.catalog import Catalog
from nexus.storage.database import Database
from nexus.storage.snapshots.receiver import SnapshotReceiver
from nexus.storage.wal import WriteAheadLog
from storage.logs import batch, file_size_limit
from storage.snapshotting import (
    MAX_SIZE,
    fill,
    generation_of,
    opened,
    position,
    store_at,
)

BEFORE, TARGET, LOG_END = 10, 12, 15
"""The database stands at BEFORE, its log ends at LOG_END, the snapshot is of TARGET:
an offset that the log holds too, from another history."""

INSTALLER = dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from node.roles.test_installing import dying_before, arrived, put
    from nexus.config import Config
    from nexus.node.startup import open_storage

    root, step = Path(sys.argv[1]), int(sys.argv[2])
    storage = open_storage(Config(data_dir=root / "data"))
    receiver = arrived(root, storage)
    dying_before(step)
    put(storage, receiver)
    os.kill(os.getpid(), signal.SIGUSR1)
    """
)
"""Receives the snapshot, and dies while it installs it, before the step it is told."""


def dying_before(step: int) -> None:
    """Have this process end before one of the steps that installing takes."""
    left = itertools.count(step, -1)

    def counted(owner: object, name: str) -> None:
        call = getattr(owner, name)

        def die_or_call(*arguments: object, **options: object) -> object:
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        setattr(owner, name, die_or_call)

    counted(SnapshotReceiver, "finish")
    counted(Catalog, "update")
    counted(installing, "install_into")
    counted(Database, "reload")
    counted(WriteAheadLog, "reset")
    counted(SnapshotReceiver, "drop")


def prepare(root: Path) -> None:
    """A master's snapshot of TARGET; a replica at BEFORE, its log at LOG_END."""
    with opened(root / "master.db") as database:
        fill(database, generation=TARGET)
        store_at(root).make(database, "c")
    storage = open_storage(Config(data_dir=root / "data"))
    fill(storage.database, generation=BEFORE)
    storage.log.append(batch(1, LOG_END))
    storage.log.sync()
    storage.close()


def arrived(root: Path, storage: Storage) -> SnapshotReceiver:
    """A receiver to which all chunks have come."""
    store = store_at(root)
    info = store.latest()
    assert info is not None
    receiver = SnapshotReceiver(storage.directory.snapshots, max_size=MAX_SIZE)
    meta = store.meta(info)
    receiver.begin(meta)
    for index in range(meta.chunk_count):
        receiver.add(store.chunk(info, index))
    return receiver


def put(storage: Storage, receiver: SnapshotReceiver) -> Position:
    """Install what has arrived."""
    installed = install_snapshot(
        receiver.finish(),
        storage.database,
        storage.log,
        storage.catalog,
        work=storage.directory.snapshots / "installing.work",
        max_size=MAX_SIZE,
    )
    receiver.drop()
    return installed


@contextmanager
def replica(root: Path) -> Iterator[Storage]:
    """The replica's parts, opened as at a start."""
    storage = open_storage(Config(data_dir=root / "data"))
    try:
        yield storage
    finally:
        storage.close()


def assert_as_before(storage: Storage) -> None:
    assert generation_of(storage.database.writer) == BEFORE
    assert storage.database.position == position(BEFORE)
    assert (storage.log.first_offset, storage.log.last_offset) == (1, LOG_END)
    assert storage.catalog.state.intent is None
    assert not storage.catalog.state.refilled


def assert_installed(storage: Storage) -> None:
    assert generation_of(storage.database.writer) == TARGET
    assert storage.database.position == position(TARGET)
    assert storage.log.entry_count == 0
    assert storage.log.last_offset == TARGET
    assert storage.catalog.state.refilled
    assert storage.catalog.state.intent is None


def test_an_installed_snapshot_replaces_rows_and_log(tmp_path: Path) -> None:
    prepare(tmp_path)
    with replica(tmp_path) as storage:
        assert put(storage, arrived(tmp_path, storage)) == position(TARGET)

        assert_installed(storage)
        assert list(storage.directory.snapshots.iterdir()) == []
    with replica(tmp_path) as storage:
        assert_installed(storage)


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
        with replica(root) as storage:
            new = storage.database.position == position(TARGET)
            died.append(new)
            (assert_installed if new else assert_as_before)(storage)
            SnapshotReceiver(storage.directory.snapshots, max_size=MAX_SIZE).close()
            assert put(storage, arrived(root, storage)) == position(TARGET)
            assert_installed(storage)

    assert died == [False, False, False, True, True, True, True]


def test_an_install_that_fails_leaves_no_intent(tmp_path: Path) -> None:
    prepare(tmp_path)
    with replica(tmp_path) as storage:
        receiver = arrived(tmp_path, storage)
        limit = storage.database.path.stat().st_size
        with file_size_limit(limit), pytest.raises((StorageError, SnapshotError)):
            put(storage, receiver)

        assert_as_before(storage)


def test_a_refused_snapshot_cuts_nothing_from_the_log_at_a_later_start(
    tmp_path: Path,
) -> None:
    prepare(tmp_path)
    with replica(tmp_path) as storage:
        receiver = arrived(tmp_path, storage)
        with pytest.raises(SnapshotError, match=r"snapshot\.max_size"):
            install_snapshot(
                receiver.finish(),
                storage.database,
                storage.log,
                storage.catalog,
                work=tmp_path / "work",
                max_size=1,
            )
        # Entries that were acknowledged are applied after all.
        fill(storage.database, generation=BEFORE + 1)

    with replica(tmp_path) as storage:
        assert storage.database.position == position(BEFORE + 1)
        assert storage.log.last_offset == LOG_END


def test_a_log_that_cannot_be_reset_leaves_the_intent_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise DiskFullError("no room for a segment")

    prepare(tmp_path)
    with replica(tmp_path) as storage:
        receiver = arrived(tmp_path, storage)
        with monkeypatch.context() as patched:
            patched.setattr(WriteAheadLog, "reset", no_room)
            with pytest.raises(DiskFullError):
                put(storage, receiver)
        assert storage.catalog.state.intent is not None

    with replica(tmp_path) as storage:
        assert_installed(storage)
