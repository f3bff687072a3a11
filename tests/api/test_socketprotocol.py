"""A WebSocket among the connections of its server."""

import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from api.fake_node import FakeNode
from nexus.api.server import HttpServer
from nexus.config import Config, LimitSettings
from nexus.node.streamtransaction import State
from node.builders import until

ONE = {"type": "execute", "stmt": {"sql": "select 1"}}
STEPS = {"steps": [{"stmt": {"sql": "select 1"}}] * 3}
SCRIPT = {"type": "sequence", "sql": "select 1; select 2; select 3"}


def limited(directory: Path, **limits: int) -> FakeNode:
    return FakeNode(directory, Config(limits=LimitSettings(**limits)))


def websocket(server: HttpServer) -> connect:
    url, hrana = server.url.replace("http", "ws"), Subprotocol("hrana2")
    return connect(url, subprotocols=[hrana], proxy=None)


async def greeted(connection: ClientConnection) -> None:
    await connection.send(json.dumps({"type": "hello", "jwt": None}))
    assert json.loads(await connection.recv())["type"] == "hello_ok"


async def asked(connection: ClientConnection, **request: object) -> dict[str, Any]:
    """The answer to one request."""
    ask = {"type": "request", "request_id": 1, "request": request}
    await connection.send(json.dumps(ask))
    said: dict[str, Any] = json.loads(await connection.recv())
    return said


async def test_statements_are_counted_over_a_websocket_too(tmp_path: Path) -> None:
    node = limited(tmp_path, statements=2)
    async with HttpServer(node, "127.0.0.1:0") as server, websocket(server) as client:
        await greeted(client)
        await asked(client, type="open_stream", stream_id=1)
        refused = [
            await asked(client, stream_id=1, type="batch", batch=STEPS),
            await asked(client, stream_id=1, **SCRIPT),
        ]
        answered = await asked(client, stream_id=1, **ONE)

    assert [one["error"]["code"] for one in refused] == ["BODY_TOO_LARGE"] * 2
    assert answered["type"] == "response_ok"


async def test_a_websocket_is_one_of_its_addresss_connections(tmp_path: Path) -> None:
    node = limited(tmp_path, connections_per_address=1)
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        httpx.AsyncClient(base_url=server.url) as another,
    ):
        async with websocket(server) as client:
            await greeted(client)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            refused = (await reader.read()).decode()
            writer.close()
        await until(lambda: not node.measures.http_connections())
        answered = await another.get("/health")

    assert refused.startswith("HTTP/1.1 503 ")
    assert "1 connections of 127.0.0.1 are open" in refused
    assert answered.status_code == HTTPStatus.OK


async def test_an_idle_websocket_gives_way_and_a_transaction_does_not(
    tmp_path: Path,
) -> None:
    node = limited(tmp_path, connections=2)
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        websocket(server) as busy,
        websocket(server) as idle,
        httpx.AsyncClient(base_url=server.url) as another,
    ):
        for client in (busy, idle):
            await greeted(client)
            await asked(client, type="open_stream", stream_id=1)
        node.streams[0].stands = State.WRITING

        answer = await another.get("/health")

        assert answer.status_code == HTTPStatus.OK
        with pytest.raises(ConnectionClosed):
            await idle.recv()
        assert idle.close_code == CloseCode.SERVICE_RESTART
        assert (await asked(busy, stream_id=1, **ONE))["type"] == "response_ok"
