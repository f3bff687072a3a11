"""The change feed of nodes: live, on replicas, across failovers, within its bounds."""

import asyncio
from typing import Any

import msgspec
import pytest

from nexus.errors import (
    ChangesGoneError,
    NexusError,
    NoDatabaseError,
    NodeStoppedError,
    NotAppliedError,
    PositionLostError,
)
from nexus.model.change import Change, Place
from nexus.model.position import Offset
from nexus.node.node import Node
from nexus.node.reading import changes
from nexus.node.reading.changes import ChangeStream, Wish
from node.builders import PATIENCE_S, Crowd, caught_up, run, until

CREATE = "create table t(id integer primary key, v)"
INSERT = "insert into t(v) values ('x')"
QUICK_S = 0.02


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "PATIENCE_S", QUICK_S)


def write(change: Change) -> bytes:
    return msgspec.json.encode(change) + b"\n"


def read(piece: bytes | None) -> list[Change]:
    lines = (piece or b"").splitlines()
    return [msgspec.json.decode(line, type=Change) for line in lines]


async def opened(node: Node, since: str | None, **fields: Any) -> ChangeStream:
    place = None if since is None else Place.parse(since)
    return await node.changes(Wish(since=place, **fields), write)


async def all_of(node: Node, since: str, **fields: Any) -> list[Change]:
    """Everything up to now."""
    stream = await opened(node, since, follow=False, **fields)
    found = []
    while (piece := await stream.read()) is not None:
        found += read(piece)
    return found


async def next_of(stream: ChangeStream) -> list[Change]:
    """The next piece that changes anything."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = read(await stream.read())
            if any(change.op != "heartbeat" for change in found):
                return found


async def ending(stream: ChangeStream) -> NexusError:
    """The error that ends it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await stream.read()
            except NexusError as error:
                return error


async def refusal(node: Node, since: str) -> NexusError:
    with pytest.raises(NexusError) as raised:
        await opened(node, since)
    return raised.value


async def test_everything_from_the_first_entry_is_read_once_and_it_ends(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    await run(node, INSERT, INSERT)

    found = await all_of(node, "0")

    assert [(change.op, change.offset, change.index) for change in found] == [
        ("schema", 2, 0),
        ("insert", 3, 0),
        ("insert", 3, 1),
    ]
    assert await all_of(node, found[1].id) == found[2:]
    assert await all_of(node, found[2].id) == []


async def test_a_consumer_hears_where_it_is_then_what_comes(crowd: Crowd) -> None:
    node = await crowd.node("master")
    answer = await run(node, CREATE)

    stream = await opened(node, None)
    (first,) = read(await stream.read())
    reading = asyncio.create_task(next_of(stream))
    await run(node, INSERT)

    assert (first.op, first.offset) == ("heartbeat", answer.offset)
    assert [change.new for change in await reading] == [{"id": 1, "v": "x"}]


async def test_what_is_filtered_out_moves_the_place_of_a_heartbeat(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    stream = await opened(node, "2", tables=frozenset({"other"}), heartbeat_s=QUICK_S)
    answer = await run(node, INSERT)

    async with asyncio.timeout(PATIENCE_S):
        while (beat := read(await stream.read()))[0].offset < answer.offset:
            assert beat[0].op == "heartbeat"

    assert Place.parse(beat[0].id).position.offset == answer.offset


async def test_limit_and_until_end_a_stream(crowd: Crowd) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    for _ in range(4):
        await run(node, INSERT, INSERT)

    limited = await all_of(node, "2", limit=3)
    bounded = await opened(node, "2", until=Offset(4))

    assert [change.offset for change in limited] == [3, 3, 4]
    assert not limited[-1].last
    assert [change.offset for change in read(await bounded.read())] == [3, 3, 4, 4]
    assert await bounded.read() is None
    assert [change.offset for change in await all_of(node, "2", until=Offset(3))] == [
        3,
        3,
    ]


async def test_a_replica_gives_what_it_has_applied_under_the_same_ids(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE)
    replica.pause(None)
    answer = await run(master, INSERT)
    paused = await all_of(replica, "0")
    replica.resume(None)
    await caught_up(replica, answer)

    found = await all_of(replica, "0")

    assert [change.op for change in paused] == ["schema"]
    assert found == await all_of(master, "0")


async def test_a_node_that_is_behind_sends_the_consumer_elsewhere(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    epoch = node.status().epoch
    history = node.history().history_id

    for place in ("99", f"{epoch}:99@{history}", f"{epoch + 1}:1@later"):
        assert isinstance(await refusal(node, place), NotAppliedError)


async def test_a_consumer_that_is_ahead_for_a_moment_is_waited_for(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "PATIENCE_S", PATIENCE_S)
    node = await crowd.node("master")
    opening = asyncio.create_task(opened(node, "2"))
    await asyncio.sleep(0)

    await run(node, CREATE)
    stream = await opening
    await run(node, INSERT)

    assert [change.op for change in await next_of(stream)] == ["insert"]


async def test_a_new_replica_without_a_database_says_so(crowd: Crowd) -> None:
    node = await crowd.node(
        "replica", "replica", replication__master_addr="127.0.0.1:1"
    )

    assert isinstance(await refusal(node, "0"), NoDatabaseError)


async def test_who_read_a_tail_that_a_failover_took_back_is_told_where_it_began(
    crowd: Crowd,
) -> None:
    old = await crowd.node("old")
    new = await crowd.replica("new", old)
    common = await run(old, CREATE)
    await caught_up(new, common)
    stream = await opened(old, str(common.offset), heartbeat_s=QUICK_S)
    old.pause(None)
    for _ in range(3):
        await run(old, INSERT)
    lost = (await next_of(stream))[-1].id
    await new.promote(force=True)
    told = await refusal(new, lost)
    # The old master takes them back, and sends away whom it gave them.
    await until(lambda: old.status().epoch == new.status().epoch)
    while_reading = await ending(stream)

    assert isinstance(told, PositionLostError)
    assert isinstance(while_reading, PositionLostError | NotAppliedError)
    fork = Place.parse(told.resume_from)
    assert fork.position.offset == common.offset
    await run(new, INSERT)
    assert [change.op for change in await all_of(new, told.resume_from)] == ["insert"]


async def test_a_consumer_goes_on_at_the_new_master(crowd: Crowd) -> None:
    old = await crowd.node("old")
    new = await crowd.replica("new", old)
    await run(old, CREATE)
    await caught_up(new, await run(old, INSERT))
    (*_, last) = await all_of(old, "0")
    await old.stop()
    await until(lambda: not new.status().connected)
    await new.promote(force=False)
    await run(new, INSERT)

    (following,) = await all_of(new, last.id)

    assert following.epoch > last.epoch
    assert following.new == {"id": 2, "v": "x"}


async def test_what_retention_dropped_is_told_with_the_oldest_entry(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master", replication__max_log_size=8)
    await run(node, CREATE)
    slow = await opened(node, "0", limit=3)
    for _ in range(100):
        await run(node, INSERT)
    reigning, log = node._duties.reigning(), node._parts.log
    await reigning.retain()
    # What the last entries leave behind may be dropped a moment later.
    await until(lambda: log.first_offset > log.durable_offset - 10)
    oldest = log.first_offset

    told = await refusal(node, "1")
    while_reading = await ending(slow)

    assert oldest > 3
    assert isinstance(told, ChangesGoneError)
    assert isinstance(while_reading, ChangesGoneError)
    assert told.oldest_offset == while_reading.oldest_offset == oldest
    found = await all_of(node, str(oldest - 1))
    assert found[0].offset == oldest
    assert found[-1].offset == node.status().applied_offset


async def test_entries_from_before_the_columns_were_known_are_gone(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    await run(node, INSERT)
    (_, insert) = await all_of(node, "0")
    await node._duties.reigning().manager.run(
        lambda: node.database.writer.execute(
            "update nexus_columns set offset = 3 where name = ''"
        )
    )

    told = await refusal(node, "2")

    assert isinstance(told, ChangesGoneError)
    assert told.oldest_offset == 4
    assert insert.offset == 3
    assert await all_of(node, "3") == []


async def test_a_reader_whose_place_still_stands_reads_on_after_a_cut(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    await run(node, INSERT)
    stream = await opened(node, "0", limit=2)
    log = node._parts.log
    log._state.cuts = (*log._state.cuts, 1)
    stream._cursor._cursor.offset = Offset(3)

    found = await next_of(stream)

    assert [change.op for change in found] == ["schema", "insert"]


async def test_a_replica_that_has_lost_its_master_sends_its_consumers_elsewhere(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE)
    stream = await opened(replica, "0", heartbeat_s=QUICK_S)
    (change,) = await next_of(stream)
    await master.stop()

    told = await ending(stream)

    assert isinstance(told, NotAppliedError)
    assert "ask another node" in str(told)
    assert await all_of(replica, "0") == [change]


async def test_a_closed_feed_reads_no_more(crowd: Crowd) -> None:
    node = await crowd.node("master")
    stream = await opened(node, "0", heartbeat_s=QUICK_S)
    await node.stop()

    assert isinstance(await ending(stream), NodeStoppedError)


async def test_a_consumer_that_has_stopped_holds_no_file_and_little_memory(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    big = "insert into t(v) select hex(randomblob(2000)) from json_each('[1,2,3,4]')"
    for _ in range(400):
        await run(node, big)

    stream = await opened(node, "0")
    piece = await stream.read()
    cursor = stream._cursor

    assert piece is not None
    assert len(piece) < 300_000
    assert cursor._cursor._fd == -1
    held = sum(len(record.payload) for record in cursor._records)
    assert held < 2 << 20
    assert node._parts.log.last_offset - cursor.next_offset > 100
