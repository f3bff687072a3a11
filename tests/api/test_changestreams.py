"""A stream of changes on a socket: it ends with its consumer, its node or its bound."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from api.fake_node import FakeNode, FakeStream
from nexus.api.calls import ADMITTED
from nexus.api.changestreams import ChangesResponse, Lines
from nexus.api.consumers import MOST_CONSUMERS, Consumers
from nexus.api.server import HttpServer
from nexus.model.change import Change
from nexus.model.token import TokenRole
from nexus.node.node import Node

PATIENCE_S = 60.0
BEAT = Change(op="heartbeat", id="2:10@h2", epoch=2, offset=10)
GET = {"type": "http", "method": "GET", ADMITTED: lambda: True}


@asynccontextmanager
async def served(node: FakeNode) -> AsyncIterator[tuple[HttpServer, httpx.AsyncClient]]:
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S) as client,
    ):
        yield server, client


async def test_a_consumer_that_goes_leaves_its_place_to_another(node: FakeNode) -> None:
    node.feed, node.feed_stays = [BEAT], True
    async with served(node) as (server, client):
        consumers = server._application._consumers
        for _ in range(3):
            async with client.stream("GET", "/changes") as answer:
                await anext(answer.aiter_lines())
                assert consumers.count == 1
            async with asyncio.timeout(PATIENCE_S):
                while consumers.count:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.005)

    assert consumers.count == 0


async def test_one_consumer_too_many_is_sent_elsewhere(node: FakeNode) -> None:
    async with served(node) as (server, client):
        consumers = server._application._consumers
        for _ in range(MOST_CONSUMERS):
            consumers.enter()
        refused = await client.get("/changes")
        consumers.leave()
        node.error = RuntimeError("a bug")
        failed = await client.get("/changes")
        node.error = None
        accepted = await client.get("/changes")

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_consumers")
    assert refused.headers["Retry-After"] == "5"
    assert (failed.status_code, accepted.status_code) == (500, 200)
    assert consumers.count == MOST_CONSUMERS - 1


async def test_a_node_that_stops_says_so_and_waits_for_no_consumer(
    node: FakeNode,
) -> None:
    node.feed, node.feed_stays = [BEAT], True
    async with served(node) as (server, client):
        async with client.stream("GET", "/changes") as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            stopping = asyncio.create_task(server.stop())
            told = msgspec.json.decode(await anext(lines))
            rest = [line async for line in lines]
        await stopping

    assert (told["op"], told["code"], rest) == ("problem", "node_stopped", [])


async def test_a_bug_ends_the_stream_and_frees_its_place() -> None:
    consumers = Consumers()
    consumers.enter()
    stream = FakeStream([], end=ZeroDivisionError())

    async def send(_message: object) -> None:
        return

    async def receive() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(ZeroDivisionError):
        await ChangesResponse(stream, Lines(), consumers)(GET, receive, send)

    assert consumers.count == 0


class Endless:
    """Gives pieces as long as they are read, and counts them."""

    def __init__(self) -> None:
        self.read_count = 0

    async def read(self) -> bytes | None:
        self.read_count += 1
        return b"x" * (256 << 10)


async def test_a_consumer_that_stops_reading_has_nothing_read_for_it(
    node: FakeNode,
) -> None:
    endless = node.stream = Endless()
    async with served(node) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /changes HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        before = -1
        async with asyncio.timeout(PATIENCE_S):
            while before != endless.read_count:
                before = endless.read_count
                await asyncio.sleep(0.3)
        writer.close()

    # The kernels' buffers and one of each side are full; the node reads no more.
    assert endless.read_count < 100


async def test_a_real_node_is_read_over_the_wire(tmp_path: Path) -> None:
    from node.builders import run, settings  # noqa: PLC0415 - the node's own tests'

    node = Node(settings(tmp_path))
    await node.start()
    await run(node, "create table t(id integer primary key, v)")
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S) as client,
        client.stream("GET", "/changes", params={"from": 1}) as answer,
    ):
        lines = answer.aiter_lines()
        first = msgspec.json.decode(await anext(lines))
        await run(node, "insert into t(v) values (x'00')")
        second = msgspec.json.decode(await anext(lines))
    await node.stop()

    assert (first["op"], first["tables"]) == (
        "schema",
        {"t": {"columns": ["id", "v"], "key": ["id"]}},
    )
    assert second["new"] == {"id": 1, "v": {"$blob": "AA=="}}


async def test_a_revoked_token_ends_the_stream_that_it_began(node: FakeNode) -> None:
    headers = {"Authorization": f"Bearer {node.tokens.make(TokenRole.READ)}"}
    node.tokens.make(TokenRole.ADMIN)
    node.stream = Slow()
    async with (
        served(node) as (_, client),
        client.stream("GET", "/changes", headers=headers) as answer,
    ):
        lines = answer.aiter_lines()
        assert (await anext(lines)) == "first"
        await node.tokens.revoke("0000000001")
        node.stream.go_on.set()
        assert '"code":"unauthorised"' in await anext(lines)


async def test_a_revoked_token_ends_a_stream_that_has_nothing_to_say(
    node: FakeNode,
) -> None:
    headers = {"Authorization": f"Bearer {node.tokens.make(TokenRole.READ)}"}
    node.tokens.make(TokenRole.ADMIN)
    node.stream = Slow()
    async with (
        served(node) as (_, client),
        client.stream("GET", "/changes", headers=headers) as answer,
    ):
        lines = answer.aiter_lines()
        await anext(lines)
        await node.tokens.revoke("0000000001")

        assert '"code":"unauthorised"' in await anext(lines)


class Slow:
    """One piece, and the next one when the test says so."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self._began = False

    async def read(self) -> bytes | None:
        if self._began:
            await self.go_on.wait()
            return b"second\n"
        self._began = True
        return b"first\n"
