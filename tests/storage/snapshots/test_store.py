"""The store: copies of the database at a position, made while writes go on."""

import itertools
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from nexus.errors import (
    DiskFullError,
    NodeStoppedError,
    NotFoundError,
    SnapshotError,
)
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.storage.database import Database
from nexus.storage.snapshots.installer import install, install_into
from nexus.storage.snapshots.store import SnapshotInfo, SnapshotSettings, SnapshotStore
from storage.logs import file_size_limit
from storage.snapshotting import (
    MAX_SIZE,
    fill,
    generation_of,
    only_reading,
    opened,
    position,
    received,
    verify,
)

CRASHER = dedent(
    """
    import os, sys
    from pathlib import Path
    from nexus.storage.database import Database
    from nexus.storage.snapshots.store import SnapshotSettings, SnapshotStore

    left = int(sys.argv[3])

    def counted(call):
        def step(*arguments, **options):
            global left
            left -= 1
            if left < 0:
                os._exit(9)
            return call(*arguments, **options)
        return step

    Path.mkdir, Path.rename = counted(Path.mkdir), counted(Path.rename)
    Path.unlink = counted(Path.unlink)
    database = Database.open(Path(sys.argv[1]))
    settings = SnapshotSettings(max_size=1 << 30, keep=1)
    SnapshotStore(Path(sys.argv[2]), settings).make(database, "c")
    os._exit(0)
    """
)
"""Makes a snapshot, and dies before the step that it is told."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        yield database


def store_in(tmp_path: Path, **settings: int) -> SnapshotStore:
    directory = tmp_path / "snapshots"
    directory.mkdir(exist_ok=True)
    return SnapshotStore(
        directory, SnapshotSettings(**{"max_size": 1 << 30, **settings})
    )


def generation_in(store: SnapshotStore, info: SnapshotInfo, place: Path) -> int:
    """What a snapshot holds, once it is installed where nothing stood."""
    place.mkdir()
    target = place / "new.db"
    manifest = install(store.path(info.id), target, place / "work", max_size=MAX_SIZE)
    assert manifest.position == info.position
    with closing(only_reading(target)) as connection:
        assert connection.pragma("integrity_check") == "ok"
        return generation_of(connection)


@contextmanager
def writing(database: Database) -> Iterator[None]:
    """A thread that writes one generation after the other, and checkpoints."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                generation = database.position.offset + 1
                fill(database, generation=generation, rows=300)
                database.checkpoint_when_due()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failed


def test_snapshots_made_while_writes_go_on_hold_one_position_each(
    tmp_path: Path, database: Database
) -> None:
    store = store_in(tmp_path, keep=10)
    with writing(database):
        made = [store.make(database, "c") for _ in range(6)]

    offsets = [info.wal_offset for info in made]
    assert offsets == sorted(offsets)
    assert offsets[-1] > offsets[0], "writes went on"
    for index, info in enumerate(made):
        held = generation_in(store, info, tmp_path / f"place-{index}")
        assert held == info.wal_offset == info.position.offset


def test_a_reader_that_holds_an_old_state_keeps_no_snapshot_from_being_made(
    tmp_path: Path, database: Database
) -> None:
    store = store_in(tmp_path)
    with closing(only_reading(database.path)) as reader:
        reader.execute("begin; select count(*) from t").fetchall()
        fill(database, generation=2)
        info = store.make(database, "c")

    assert info.position == position(2)
    assert generation_in(store, info, tmp_path / "place") == 2


def test_an_open_transaction_is_not_in_the_snapshot(
    tmp_path: Path, database: Database
) -> None:
    store = store_in(tmp_path)
    database.begin()
    database.writer.execute("update t set generation = 99")
    info = store.make(database, "c")
    database.rollback()

    assert generation_in(store, info, tmp_path / "place") == 1


def test_the_facts_are_those_of_the_archive(tmp_path: Path, database: Database) -> None:
    store = store_in(tmp_path)
    info = store.make(database, "cluster")
    archive = store.path(info.id)
    manifest = verify(archive)

    assert info.compressed_size == archive.stat().st_size
    assert info.checksum == f"{zlib.crc32(archive.read_bytes()):08x}"
    assert info.position == manifest.position == position(1)
    assert info.uncompressed_size == manifest.files[0].size
    assert manifest.cluster_id == "cluster"
    assert (store.latest(), store.get(info.id), store.list()) == (info, info, [info])


@pytest.mark.parametrize("chunk_size", [7, 1000, 1 << 20])
def test_the_chunks_are_the_archive(
    tmp_path: Path, database: Database, chunk_size: int
) -> None:
    store = store_in(tmp_path, chunk_size=chunk_size)
    info = store.make(database, "c")
    meta = store.meta(info)
    chunks = [store.chunk(info, index) for index in range(meta.chunk_count)]

    whole = b"".join(chunk.data for chunk in chunks)
    assert whole == store.path(info.id).read_bytes()
    assert [chunk.chunk_index for chunk in chunks] == list(range(meta.chunk_count))
    assert all(zlib.crc32(chunk.data) == chunk.crc32 for chunk in chunks)
    assert all(chunk.data for chunk in chunks)
    assert (meta.crc32, meta.total_size) == (zlib.crc32(whole), len(whole))
    assert meta.position == info.position


def test_a_snapshot_goes_from_the_store_into_a_live_database(
    tmp_path: Path, database: Database
) -> None:
    store = store_in(tmp_path, chunk_size=512)
    copy = received(store, store.make(database, "c"), tmp_path / "receiving")
    with opened(tmp_path / "replica.db", page_size=1024) as replica:
        install_into(copy, replica, tmp_path / "work", max_size=MAX_SIZE)

        assert generation_of(replica.writer) == 1
        assert replica.position == position(1)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path: Path, database: Database, keep: int) -> None:
    store = store_in(tmp_path, keep=keep)
    made = []
    for generation in range(2, 7):
        fill(database, generation=generation)
        made.append(store.make(database, "c"))

    assert store.list() == made[-keep:]
    assert len(list((tmp_path / "snapshots").iterdir())) == 2 * keep
    with pytest.raises(NotFoundError):
        store.path(made[0].id)
    with pytest.raises(NotFoundError, match="newer ones were made"):
        store.chunk(made[0], 0)


def test_of_one_position_the_newest_is_kept(tmp_path: Path, database: Database) -> None:
    store = store_in(tmp_path, keep=1)
    for _ in range(5):
        info = store.make(database, "c")
        assert store.list() == [info]


def test_a_snapshot_of_a_later_epoch_is_newer_though_its_offset_is_smaller(
    tmp_path: Path, database: Database
) -> None:
    store = store_in(tmp_path, keep=1)
    fill(database, generation=50)
    store.make(database, "c")
    # As after a rewind: what stood at 50 was another master's.
    database.begin()
    database.commit(Position(Epoch(4), Offset(40), HistoryId("other")))

    info = store.make(database, "c")

    assert info.position == Position(Epoch(4), Offset(40), HistoryId("other"))
    assert store.latest() == info
    assert store.list() == [info]


def test_a_crash_at_any_step_leaves_whole_snapshots_and_nothing_else(
    tmp_path: Path, database: Database
) -> None:
    directory = tmp_path / "snapshots"
    first = store_in(tmp_path, keep=1).make(database, "c")
    fill(database, generation=2)
    database.close()

    for step in itertools.count():
        command = (sys.executable, "-c", CRASHER, str(database.path), str(directory))
        ended = subprocess.run([*command, str(step)], check=False)
        store = store_in(tmp_path, keep=1)
        kept = store.list()
        assert first in kept or position(2) in {info.position for info in kept}
        for info in kept:
            verify(store.path(info.id))
        names = {f"{info.id}{end}" for info in kept for end in (".json", ".tar.zst")}
        assert {path.name for path in directory.iterdir()} == names, f"step {step}"
        if ended.returncode == 0:
            assert [info.position for info in kept] == [position(2)]
            break

    assert step > 4, "it died at several steps"


def test_what_is_no_snapshot_is_not_listed(tmp_path: Path, database: Database) -> None:
    store = store_in(tmp_path)
    info = store.make(database, "c")
    directory = tmp_path / "snapshots"
    (directory / "notes.json").write_bytes(b"{")
    gone = msgspec.structs.replace(info, id="gone")
    (directory / "gone.json").write_bytes(msgspec.json.encode(gone))

    assert store.list() == [info]
    with pytest.raises(NotFoundError, match="no snapshot 'gone'"):
        store.get("gone")
    with pytest.raises(NotFoundError):
        store.path("../a")


def test_a_database_over_the_limit_makes_no_snapshot(
    tmp_path: Path, database: Database
) -> None:
    store = store_in(tmp_path, max_size=5000)
    with pytest.raises(SnapshotError, match=r"the limit is 5000.*max_size"):
        store.make(database, "c")

    assert list((tmp_path / "snapshots").iterdir()) == []


def test_a_full_disk_makes_no_snapshot_and_keeps_those_before(
    tmp_path: Path, database: Database
) -> None:
    store = store_in(tmp_path, keep=1)
    info = store.make(database, "c")
    with file_size_limit(4000), pytest.raises(DiskFullError):
        store.make(database, "c")

    assert store.list() == [info]
    assert len(list((tmp_path / "snapshots").iterdir())) == 2
    fill(database, generation=2)
    assert store.make(database, "c").position == position(2)


def test_a_closed_store_makes_no_snapshot(tmp_path: Path, database: Database) -> None:
    store = store_in(tmp_path)
    store.close()

    with pytest.raises(NodeStoppedError):
        store.make(database, "c")

    assert list((tmp_path / "snapshots").iterdir()) == []
