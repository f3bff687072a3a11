"""What a visitor of a log is told, and how it is served."""

import asyncio
import gc
import warnings
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nexus.model.cluster import NodeId
from nexus.model.position import ORIGIN, Epoch, EpochHistory, Offset
from nexus.node.network.connection import Connection
from nexus.node.node import Node
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Message,
    Ping,
    SnapshotComplete,
    Welcome,
)
from nexus.replication.effects import Close
from node.builders import PATIENCE_S, Crowd, address_of, caught_up, count, run, until

HELLO = Hello(
    1,
    1,
    "",
    EpochHistory(),
    NodeId("visitor"),
    "127.0.0.1:1",
    "http://127.0.0.1:1",
    Epoch(0),
    ORIGIN,
)


@asynccontextmanager
async def visit(node: Node) -> AsyncIterator[Connection]:
    connection = await Connection.open(address_of(node), timeout_s=PATIENCE_S)
    try:
        yield connection
    finally:
        await connection.close()


async def told(node: Node, *said: Message | bytes) -> Message:
    """The first answer of a node to what a visitor says."""
    async with visit(node) as connection:
        for message in said:
            if isinstance(message, bytes):
                connection.send_bytes(message)
            else:
                connection.send(message)
        return await connection.receive_one(timeout_s=PATIENCE_S)


def error(message: Message) -> tuple[str, str]:
    assert isinstance(message, Error), message
    return message.code, message.message


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "the peer speaks HTTP"),
        (b"\x01\x00\x00\x00\x00" + zlib.crc32(b"x").to_bytes(4, "little"), ""),
        (b"\x01\xff\xff\xff\x7f", ""),
        (
            Ping(1, Offset(1), Offset(1), Epoch(1)),
            "began with Ping where a Hello is expected",
        ),
        (SnapshotComplete("x", success=True), "began with SnapshotComplete"),
    ],
    ids=["HTTP", "a wrong sum", "an endless frame", "a Ping", "another message"],
)
async def test_who_does_not_speak_the_protocol_is_turned_away_and_counted(
    crowd: Crowd, said: Message | bytes, reason: str
) -> None:
    master = await crowd.node("master")

    code, message = error(await told(master, said))

    assert code == ErrorCode.MALFORMED
    assert reason in message
    assert master.master_stats().rejected_connections == 1
    assert master.status().running


async def test_a_master_welcomes_a_hello(crowd: Crowd) -> None:
    master = await crowd.node("master")

    welcome = await told(master, HELLO)

    assert isinstance(welcome, Welcome)
    assert welcome.master_id == master.node_id


async def test_a_sync_that_is_told_late_takes_nothing_back(crowd: Crowd) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(id integer primary key)")
    await told(master, HELLO)  # as somebody comes, the loop reads the log's end itself

    master.duties.parts.publisher.stored(Offset(1))

    replica = await crowd.replica("replica", master)
    await caught_up(replica, await run(master, "insert into t values (1)"))
    assert await count(replica) == 1


async def test_a_replica_names_the_master_that_it_knows(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    answer = await told(replica, HELLO)

    assert isinstance(answer, Error)
    assert answer.code == ErrorCode.NOT_MASTER
    assert answer.master_addr == address_of(master)


async def test_a_message_that_no_replica_sends_ends_that_connection_alone(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    async with visit(master) as connection:
        connection.send(HELLO)
        await connection.receive_one(timeout_s=PATIENCE_S)
        connection.send_bytes(b"\xee" * 64)
        messages = [m async for m in _until_closed(connection)]

    assert any(isinstance(m, Error) and m.code == ErrorCode.MALFORMED for m in messages)
    await caught_up(replica, await run(master, "create table t(v)"))
    assert await count(replica) == 0


async def _until_closed(connection: Connection) -> AsyncIterator[Message]:
    async with asyncio.timeout(PATIENCE_S):
        while messages := await connection.receive():
            for message in messages:
                yield message


async def test_a_stop_tells_every_replica_that_this_node_stops(crowd: Crowd) -> None:
    master = await crowd.node("master")
    async with visit(master) as connection:
        connection.send(HELLO)
        await connection.receive_one(timeout_s=PATIENCE_S)
        stopping = asyncio.create_task(master.stop())
        messages = [m async for m in _until_closed(connection)]
        await stopping

    assert error(messages[-1])[0] == ErrorCode.STOPPING


async def test_a_stop_ends_what_had_not_begun_yet(crowd: Crowd) -> None:
    master = await crowd.node("master")
    publisher = master._parts.publisher
    async with visit(master) as connection:
        connection.send(HELLO)
        await connection.receive_one(timeout_s=PATIENCE_S)
        [peer] = publisher._links
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")

            publisher.perform((Close(peer, ErrorCode.NOT_MASTER, "go"),))
            await publisher.stop()
            gc.collect()

    assert [str(warning.message) for warning in told] == []


async def test_a_replica_that_leaves_is_no_longer_counted(crowd: Crowd) -> None:
    master = await crowd.node("master")
    publisher = master._parts.publisher
    alone = [publisher.is_alone]
    replica = await crowd.replica("replica", master)
    alone.append(publisher.is_alone)

    await replica.stop()

    assert alone == [True, False]
    await until(lambda: publisher.is_alone)
    await until(lambda: master.status().replica_count == 0)
