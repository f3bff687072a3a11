"""What is sent of snapshots to replicas that ask for one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nexus.errors import StorageError
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position
from nexus.node.network.connection import Connection
from nexus.node.streaming.sending import SnapshotSender
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
from nexus.storage.database import Database
from nexus.storage.snapshots.copier import Packed
from nexus.storage.snapshots.packing import Packer
from nexus.storage.snapshots.store import (
    Begun,
    SnapshotInfo,
    SnapshotStore,
)
from nexus.storage.wal import WriteAheadLog
from node.builders import PATIENCE_S, until
from replication.examples import MASTER_NODE, PEER, history
from storage.logs import ROOMY
from storage.snapshotting import fill, opened, position, store_at

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
        assert released.wait(PATIENCE_S)
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
    await asyncio.to_thread(written.wait, PATIENCE_S)
    both = await asyncio.gather(first, sending.sent(takes_growing=True))

    (made,) = sending.store.list()
    assert [assert_grew(messages, made, sending) for messages in both] == [0, 0]
    assert sending.failures() == []


async def test_a_transfer_goes_on_while_its_snapshot_is_still_being_made(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    making = sending.sender._making

    async def noted(*order: Any) -> Any:
        found = await making(*order)
        asked.append(found)
        return found

    monkeypatch.setattr(sending.sender, "_making", noted)
    written, released = held_back(sending, monkeypatch)
    first = asyncio.create_task(sending.sent(takes_growing=True))
    await asyncio.to_thread(written.wait, PATIENCE_S)
    (work,) = (sending.store._directory).glob("*.work")
    going_on = sending.sent(snapshot_id=work.stem, next_chunk=2, takes_growing=True)
    rest = asyncio.create_task(going_on)
    whole = asyncio.create_task(sending.sent())
    await until(lambda: len(asked) == 3)
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
    await asyncio.to_thread(written.wait, PATIENCE_S)
    sending.database.begin()
    sending.database.commit(Position(Epoch(4), Offset(3), HistoryId("other")))
    other = history((3, "h", 1), (4, "other", 3))
    second = asyncio.create_task(sending.sent(of=other, takes_growing=True))
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
