"""A replica's link, with a master that a test plays."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from nexus.config import join_address
from nexus.errors import DiskFullError, NexusError
from nexus.model.cluster import LinkState, NodeId
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Operation, Reigned, Schema
from nexus.model.position import EpochHistory, Offset, Position
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import proven_welcome, receive_hello
from nexus.node.node import Node
from nexus.node.writing import worker
from nexus.protocol.codec import encode_entries
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Message,
    Ping,
    Plan,
    Pong,
    WalAck,
    WalEntry,
    Welcome,
)
from nexus.protocol.parts import split_entry
from nexus.replication.replica import Replica
from nexus.storage.apply import Applier
from node.builders import (
    HEARTBEAT_MS,
    PATIENCE_S,
    REIGN,
    Crowd,
    count,
    knowing,
    run,
    until,
)

BEGUN = Reigned(REIGN)
CREATE = Schema("create table t(id integer primary key)")


@dataclass
class Visit:
    """One connection of a replica, from its master's side."""

    connection: Connection
    hello: Hello
    heard: list[Message] = field(default_factory=list)

    async def hear(self, kind: type[Message]) -> Message:
        """The next message of this kind; heartbeats are answered by nobody here."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for place, message in enumerate(self.heard):
                    if isinstance(message, kind):
                        del self.heard[: place + 1]
                        return message
                self.heard = await self.connection.receive()
                assert self.heard, f"the replica closed before a {kind.__name__} came"

    async def acknowledged(self, offset: int) -> None:
        """Return once the replica holds the entry durably."""
        ack = await self.hear(WalAck)
        while isinstance(ack, WalAck) and ack.durable_offset < offset:
            ack = await self.hear(WalAck)


class Stage:
    """Listens, and welcomes every replica that comes."""

    def __init__(self) -> None:
        self.visits: asyncio.Queue[Visit] = asyncio.Queue()
        self.address = ""
        self.committed = Offset(9)
        self.connections: list[Connection] = []
        self.refusal: Error | None = None

    async def visit(self) -> Visit:
        async with asyncio.timeout(PATIENCE_S):
            return await self.visits.get()

    async def accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        greeting = await receive_hello(connection, knowing(), timeout_s=PATIENCE_S)
        hello = greeting.hello
        assert isinstance(hello, Hello)
        connection.handshake_done()
        if self.refusal is not None:
            connection.send(self.refusal)
            await connection.close()
            return
        welcome = Welcome(
            NodeId("master"),
            "cluster",
            REIGN.epoch,
            Offset(9),
            self.committed,
            4096,
            "UTF-8",
            Plan.STREAM,
            hello.position.offset,
            EpochHistory((REIGN,)),
            http_url="http://127.0.0.1:15474",
            heartbeat_ms=HEARTBEAT_MS,
        )
        connection.send(proven_welcome(welcome, "", hello.nonce, b""))
        await self.visits.put(Visit(connection, hello))


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A master's door."""
    played = Stage()
    server = await asyncio.start_server(played.accept, "127.0.0.1", 0)
    played.address = join_address(*server.sockets[0].getsockname())
    try:
        yield played
    finally:
        server.close()
        for connection in played.connections:
            await connection.close()


def frames(first: int, *entries: Operation, commit: int = 9) -> bytes:
    """Entries as they are sent, one operation each."""
    records = [
        Record(
            REIGN.epoch,
            Offset(first + place),
            encode_payload(Payload(0, "", b"", (operation,))),
        )
        for place, operation in enumerate(entries)
    ]
    return b"".join(encode_entries(records, REIGN.history_id, Offset(commit)))


async def streaming(crowd: Crowd, master: Stage) -> tuple[Node, Visit]:
    """A replica that has the first entry, and its connection at the master."""
    replica = await crowd.node(
        "replica", "replica", replication__master_addr=master.address
    )
    visit = await master.visit()
    visit.connection.send_bytes(frames(1, BEGUN))
    await visit.acknowledged(1)
    return replica, visit


async def test_what_is_acknowledged_is_durable_and_what_is_committed_is_applied(
    crowd: Crowd,
) -> None:
    async with stage() as master:
        master.committed = Offset(1)
        replica = await crowd.node(
            "replica", "replica", replication__master_addr=master.address
        )
        visit = await master.visit()
        assert visit.hello.position == Position()

        visit.connection.send_bytes(frames(1, BEGUN, CREATE, commit=1))
        await visit.acknowledged(2)
        assert replica.status().durable_offset == 2
        await replica.wait_applied(Offset(1), timeout_s=PATIENCE_S)
        assert replica.status().applied_offset == 1

        ping = Ping(7, Offset(2), Offset(2), REIGN.epoch, "cluster", REIGN.history_id)
        visit.connection.send(ping)
        pong = await visit.hear(Pong)
        assert isinstance(pong, Pong)
        assert (pong.timestamp, pong.durable_offset) == (7, 2)
        await replica.wait_applied(Offset(2), timeout_s=PATIENCE_S)
        assert await count(replica) == 0


@pytest.mark.parametrize(
    "payload",
    [b"\xc1 damaged", encode_payload(Payload(0, "", b"", (BEGUN,)))],
)
async def test_an_entry_that_no_log_may_hold_is_refused_and_asked_for_again(
    crowd: Crowd, payload: bytes
) -> None:
    async with stage() as master:
        replica, visit = await streaming(crowd, master)
        visit.connection.send(
            WalEntry(Offset(2), REIGN.epoch, REIGN.history_id, Offset(9), payload)
        )
        refusal = await visit.hear(Error)
        assert isinstance(refusal, Error)
        assert refusal.code == ErrorCode.MALFORMED
        assert "2" in refusal.message
        await visit.connection.close()
        await until(lambda: replica.status().last_error)
        assert replica.status().wal_offset == 1
        assert replica.status().running

        again = await master.visit()
        assert replica.replica_stats().bytes_received > len(frames(1, BEGUN))
        assert again.hello.position.offset == 1
        again.connection.send_bytes(frames(2, CREATE))
        await replica.wait_applied(Offset(2), timeout_s=PATIENCE_S)


async def test_a_damaged_frame_costs_the_connection_and_nothing_else(
    crowd: Crowd,
) -> None:
    async with stage() as master:
        replica = await crowd.node(
            "replica", "replica", replication__master_addr=master.address
        )
        visit = await master.visit()
        whole = frames(1, BEGUN)
        visit.connection.send_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        refusal = await visit.hear(Error)
        assert isinstance(refusal, Error)
        assert "damaged" in refusal.message
        await visit.connection.close()

        again = await master.visit()
        again.connection.send_bytes(whole)
        await again.acknowledged(1)
        assert replica.status().state is LinkState.STREAMING


async def test_a_gap_is_refused_and_asked_for_again(crowd: Crowd) -> None:
    async with stage() as master:
        replica = await crowd.node(
            "replica", "replica", replication__master_addr=master.address
        )
        visit = await master.visit()
        visit.connection.send_bytes(frames(2, CREATE))
        refusal = await visit.hear(Error)
        assert isinstance(refusal, Error)
        assert "gap" in refusal.message
        assert replica.status().wal_offset == 0
        await visit.connection.close()
        again = await master.visit()
        assert again.hello.position.offset == 0


async def test_a_master_that_falls_silent_is_left_and_looked_for_again(
    crowd: Crowd,
) -> None:
    async with stage() as master:
        replica = await crowd.node(
            "replica", "replica", replication__master_addr=master.address
        )
        await master.visit()
        await master.visit()
        assert replica.replica_stats().reconnects >= 1


async def test_a_large_entry_on_its_way_is_a_sign_of_life(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    come: list[int] = []
    monkeypatch.setattr(Replica, "grows", lambda _, size, __: come.append(size))
    text = "create table t(id integer primary key) -- " + "x" * 100_000
    large = frames(2, Schema(text))
    async with stage() as master:
        replica, visit = await streaming(crowd, master)
        visit.connection.send_bytes(large[:-9])
        await until(lambda: bool(come))
        visit.connection.send_bytes(large[-9:])
        await replica.wait_applied(Offset(2), timeout_s=PATIENCE_S)


async def test_a_part_that_is_whole_is_a_sign_of_life_too(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    come: list[int] = []
    monkeypatch.setattr(Replica, "grows", lambda _, size, __: come.append(size))
    text = "create table t(id integer primary key) -- " + os.urandom(100_000).hex()
    record = Record(
        REIGN.epoch, Offset(2), encode_payload(Payload(0, "", b"", (Schema(text),)))
    )
    first, *others = split_entry(record, REIGN.history_id, Offset(9))
    async with stage() as master:
        replica, visit = await streaming(crowd, master)
        visit.connection.send(first)
        await until(lambda: len(first.entry) in come)
        for part in others:
            visit.connection.send(part)
        await replica.wait_applied(Offset(2), timeout_s=PATIENCE_S)


async def test_a_refusal_stands_in_the_status_with_its_reason(crowd: Crowd) -> None:
    async with stage() as master:
        master.refusal = Error(ErrorCode.BUSY, "too many replicas here")
        replica = await crowd.node(
            "replica", "replica", replication__master_addr=master.address
        )
        await until(lambda: "too many replicas" in replica.status().last_error)
        assert not replica.status().connected
        with pytest.raises(NexusError):
            replica.writer()


async def test_a_large_entry_in_parts_arrives_whole(crowd: Crowd) -> None:
    text = "create table t(id integer primary key) -- " + "x" * 100_000
    async with stage() as master:
        replica = await crowd.node(
            "replica", "replica", replication__master_addr=master.address
        )
        visit = await master.visit()
        visit.connection.send_bytes(frames(1, BEGUN, Schema(text)))
        await replica.wait_applied(Offset(2), timeout_s=PATIENCE_S)
        assert await count(replica) == 0


@pytest.mark.interpreted
async def test_a_replica_whose_database_has_no_room_says_so_until_it_has(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DiskFullError("no room")

    monkeypatch.setattr(worker, "SPACE_RETRY_S", 0.01)
    master = await crowd.node("master")
    await run(master, "create table t(v)")
    replica = await crowd.replica("replica", master)
    with monkeypatch.context() as while_full:
        while_full.setattr(Applier, "apply", full)
        await run(master, "insert into t values (1)")
        await until(lambda: replica.status().last_error == "no room")
    await until(lambda: replica.status().last_error == "")

    assert await count(replica) == 1
    kinds = [event.kind for event in replica.events.since(0)]
    assert [one for one in kinds if one[:4] == "disk"] == [
        "disk_full",
        "disk_has_space",
    ]
