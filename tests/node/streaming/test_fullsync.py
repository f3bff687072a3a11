"""Snapshots on their way: what is sent, and what a crash while installing leaves."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from nexus.config import Config
from nexus.errors import DiskFullError, SnapshotError, StorageError
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position
from nexus.node.network.connection import Connection
from nexus.node.startup import Storage, open_storage
from nexus.node.streaming import fullsync
from nexus.node.streaming.fullsync import SnapshotSender, install_snapshot
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Measures
from nexus.protocol.messages import (
    Message,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
)
from nexus.replication.effects import Effect, Effects, Report, SendSnapshot
from nexus.replication.master import Master
from nexus.replication.settings import LogExtent, MasterSettings
from nexus.storage.catalog import Catalog
from nexus.storage.database import Database
from nexus.storage.snapshots.copier import Packed
from nexus.storage.snapshots.packing import Packer
from nexus.storage.snapshots.receiver import SnapshotReceiver
from nexus.storage.snapshots.store import (
    Begun,
    SnapshotInfo,
    SnapshotSettings,
    SnapshotStore,
)
from nexus.storage.wal import WriteAheadLog
from replication.examples import MASTER_NODE, PEER, history
from storage.logs import ROOMY, batch, file_size_limit
from storage.snapshotting import MAX_SIZE, fill, generation_of, opened, position

BEFORE, TARGET, LOG_END = 10, 12, 15
"""The database stands at BEFORE, its log ends at LOG_END, the snapshot is of TARGET:
an offset that the log holds too, from another history."""

INSTALLER = dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from node.streaming.test_fullsync import dying_before, arrived, put
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
    counted(fullsync, "install_into")
    counted(Database, "reload")
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
    receiver = SnapshotReceiver(storage.directory.snapshots)
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


def assert_installed(storage: Storage) -> None:
    assert generation_of(storage.database.writer) == TARGET
    assert storage.database.position == position(TARGET)
    assert storage.log.entry_count == 0
    assert storage.log.last_offset == TARGET
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
            SnapshotReceiver(storage.directory.snapshots).close()
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


# --- The master's side --------------------------------------------------------------

OWN = history((3, "h", 1))
FORKED = history((3, "h", 1), (4, "other", 5))


class Sending:
    """A master's database, log and snapshots, and what came of one order."""

    def __init__(self, root: Path, database: Database) -> None:
        (root / "wal").mkdir()
        self.store = store_at(root)
        self.database = database
        self.log = WriteAheadLog.open(root / "wal", ROOMY)
        self.sender = SnapshotSender(
            self.store, database, self.log, EventLog(), Measures()
        )
        self.effects: list[Effect] = []

    def make(self, offset: int) -> SnapshotInfo:
        """A snapshot of this offset."""
        fill(self.database, generation=offset)
        return self.store.make(self.database, "c")

    async def sent(
        self,
        *,
        of: EpochHistory = OWN,
        snapshot_id: str = "",
        next_chunk: int = 0,
        takes_growing: bool = False,
    ) -> list[Message]:
        """What a replica is sent that asks so."""
        order = SendSnapshot(PEER, snapshot_id, next_chunk, takes_growing)
        machine = Master(MASTER_NODE, MasterSettings(), of, LogExtent(), 0)
        async with connected() as (near, far):
            await self.sender.send(near, order, machine, self._perform, "c")
            await near.close()
            messages: list[Message] = []
            while more := await far.receive():
                messages += more
        return messages

    def failures(self) -> list[str]:
        """What was reported as an error."""
        reports = [e for e in self.effects if isinstance(e, Report)]
        return [e.detail for e in reports if e.event == "snapshot_failed"]

    def _perform(self, effects: Effects) -> None:
        self.effects += effects


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Connection, Connection]]:
    """Both ends of one connection."""
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.put_nowait(Connection(reader, writer)),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    near = await Connection.open(f"127.0.0.1:{port}", timeout_s=60)
    far = await accepted.get()
    far.handshake_done()
    yield near, far
    await near.close()
    await far.close()
    server.close()


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[Sending]:
    with opened(tmp_path / "master.db") as database:
        found = Sending(tmp_path, database)
        yield found
        found.log.close()


def assert_is(messages: list[Message], info: SnapshotInfo, store: SnapshotStore) -> int:
    """The messages are this snapshot's; the first chunk's index."""
    meta, *chunks, end = messages
    assert isinstance(meta, SnapshotMeta)
    assert meta == store.meta(info)
    assert end == SnapshotComplete(info.id, success=True)
    indexes = [c.chunk_index for c in chunks if isinstance(c, SnapshotChunk)]
    assert indexes == list(range(indexes[0], meta.chunk_count))
    assert chunks == [store.chunk(info, index) for index in indexes]
    return indexes[0]


async def test_the_newest_snapshot_is_sent_whole(sending: Sending) -> None:
    sending.make(2)
    newest = sending.make(3)

    assert assert_is(await sending.sent(), newest, sending.store) == 0
    assert sending.failures() == []


async def test_a_transfer_goes_on_where_it_broke_though_a_newer_one_stands(
    sending: Sending,
) -> None:
    begun = sending.make(2)
    sending.make(3)

    messages = await sending.sent(snapshot_id=begun.id, next_chunk=2)

    assert assert_is(messages, begun, sending.store) == 2


async def test_a_snapshot_that_is_gone_is_answered_with_another_from_its_start(
    sending: Sending,
) -> None:
    newest = sending.make(3)

    messages = await sending.sent(snapshot_id="gone", next_chunk=2)

    assert assert_is(messages, newest, sending.store) == 0


async def test_where_there_is_none_one_is_made(sending: Sending) -> None:
    fill(sending.database, generation=4)

    messages = await sending.sent()

    (made,) = sending.store.list()
    assert made.position == position(4)
    assert assert_is(messages, made, sending.store) == 0


async def test_a_snapshot_to_which_the_log_does_not_reach_back_is_not_sent(
    sending: Sending,
) -> None:
    old = sending.make(2)
    sending.log.reset(Offset(3))
    fill(sending.database, generation=4)

    messages = await sending.sent(snapshot_id=old.id, next_chunk=1)

    newest = sending.store.latest()
    assert newest is not None
    assert newest.position == position(4)
    assert assert_is(messages, newest, sending.store) == 0


async def test_a_snapshot_of_a_history_that_this_node_left_is_not_sent(
    sending: Sending,
) -> None:
    left = sending.make(7)
    at = Position(Epoch(4), Offset(6), HistoryId("other"))
    sending.database.begin()
    sending.database.commit(at)

    messages = await sending.sent(of=FORKED, snapshot_id=left.id, next_chunk=1)

    made = sending.store.latest()
    assert made is not None
    assert made.position == at
    assert assert_is(messages, made, sending.store) == 0


async def test_replicas_that_ask_at_once_share_nothing_half_made(
    sending: Sending,
) -> None:
    fill(sending.database, generation=4)

    both = await asyncio.gather(sending.sent(), sending.sent())

    stored = {info.id: info for info in sending.store.list()}
    for messages in both:
        meta = messages[0]
        assert isinstance(meta, SnapshotMeta)
        assert assert_is(messages, stored[meta.snapshot_id], sending.store) == 0


def assert_grew(messages: list[Message], info: SnapshotInfo, sending: Sending) -> int:
    """It was announced before it was whole; the first chunk's index."""
    early, *chunks, meta, end = messages
    assert early == SnapshotMeta(info.id, 0, 0, 0, info.position)
    return assert_is([meta, *chunks, end], info, sending.store)


def held_back(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> tuple[threading.Event, threading.Event]:
    """Set when the archive is all written, and to let the packing end then."""
    written, released = threading.Event(), threading.Event()
    pack = Packer.pack

    def slowly(*arguments: Any, **options: Any) -> Any:
        packed = pack(*arguments, **options)
        written.set()
        assert released.wait(20)
        return packed

    monkeypatch.setattr(Packer, "pack", slowly)
    fill(sending.database, generation=4)
    return written, released


async def test_a_snapshot_is_sent_while_it_is_made_to_all_who_ask_meanwhile(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, released = held_back(sending, monkeypatch)
    firsts: list[SnapshotChunk] = []

    def noted(begun: Begun, index: int) -> SnapshotChunk | None:
        chunk = early_chunk(sending.store, begun, index)
        if chunk is not None and index == 0:
            firsts.append(chunk)
        if len(firsts) == 2:
            released.set()
        return chunk

    early_chunk = SnapshotStore.early_chunk
    monkeypatch.setattr(sending.store, "early_chunk", noted)
    first = asyncio.create_task(sending.sent(takes_growing=True))
    await asyncio.to_thread(written.wait, 20)
    both = await asyncio.gather(first, sending.sent(takes_growing=True))

    (made,) = sending.store.list()
    assert [assert_grew(messages, made, sending) for messages in both] == [0, 0]
    assert sending.failures() == []


async def test_a_transfer_goes_on_while_its_snapshot_is_still_being_made(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, released = held_back(sending, monkeypatch)
    first = asyncio.create_task(sending.sent(takes_growing=True))
    await asyncio.to_thread(written.wait, 20)
    (work,) = (sending.store._directory).glob("*.work")
    going_on = sending.sent(snapshot_id=work.stem, next_chunk=2, takes_growing=True)
    rest = asyncio.create_task(going_on)
    whole = asyncio.create_task(sending.sent())
    await asyncio.sleep(0.05)
    released.set()
    await asyncio.gather(first, rest, whole)

    (made,) = sending.store.list()
    assert assert_grew(first.result(), made, sending) == 0
    assert assert_grew(rest.result(), made, sending) == 2
    assert assert_is(whole.result(), made, sending.store) == 0


async def test_one_that_is_made_of_a_history_that_was_left_is_not_shared(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, released = held_back(sending, monkeypatch)
    first = asyncio.create_task(sending.sent(takes_growing=True))
    await asyncio.to_thread(written.wait, 20)
    sending.database.begin()
    sending.database.commit(Position(Epoch(4), Offset(3), HistoryId("other")))
    other = history((3, "h", 1), (4, "other", 3))
    second = asyncio.create_task(sending.sent(of=other, takes_growing=True))
    await asyncio.sleep(0.05)
    released.set()
    await asyncio.gather(first, second)

    mine, others = sending.store.list()
    assert assert_grew(first.result(), mine, sending) == 0
    assert assert_grew(second.result(), others, sending) == 0


async def test_packing_that_fails_in_mid_transfer_is_told_to_the_machine(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> Packed:
        raise StorageError("the process that packs was killed")

    monkeypatch.setattr(Packer, "pack", failing)
    fill(sending.database, generation=4)

    messages = await sending.sent(takes_growing=True)
    await sending.sender.close()

    assert messages[1:] == []
    (failure,) = sending.failures()
    assert failure == "for b#1: the process that packs was killed"


@pytest.mark.parametrize("takes_growing", [False, True])
async def test_a_snapshot_that_cannot_be_made_is_told_to_the_machine(
    sending: Sending, monkeypatch: pytest.MonkeyPatch, *, takes_growing: bool
) -> None:
    def failing(*_: object) -> SnapshotInfo:
        raise StorageError("the snapshot could not be made: no room")

    monkeypatch.setattr(sending.store, "make", failing)

    messages = await sending.sent(takes_growing=takes_growing)

    assert messages == []
    (failure,) = sending.failures()
    assert failure.startswith("for b#1: the snapshot could not be made")
