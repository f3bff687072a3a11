"""Hrana over a WebSocket, on a real node behind a real server."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from api.hrana.talk import stmt
from nexus.api.hrana import socket
from nexus.api.server import HttpServer
from nexus.model.token import TokenRole
from nexus.node.node import Node
from node.builders import Crowd, count, run, until

HELLO = {"type": "hello", "jwt": None}
HRANA = Subprotocol("hrana2")


@asynccontextmanager
async def connected(
    server: HttpServer, *offered: str, hello: bool = True
) -> AsyncIterator[ClientConnection]:
    """A connection, admitted."""
    url = server.url.replace("http", "ws")
    spoken = [Subprotocol(name) for name in offered] or [HRANA]
    async with connect(url, subprotocols=spoken, proxy=None) as connection:
        if hello:
            await connection.send(json.dumps(HELLO))
            assert json.loads(await connection.recv()) == {"type": "hello_ok"}
        yield connection


async def ask(
    connection: ClientConnection, request_id: int, kind: str, **fields: Any
) -> None:
    request = {"type": kind, **fields}
    said = {"type": "request", "request_id": request_id, "request": request}
    await connection.send(json.dumps(said))


async def answers(connection: ClientConnection, number: int) -> dict[int, Any]:
    """So many answers, by the request's number: a response or a code."""
    found: dict[int, Any] = {}
    while len(found) < number:
        said = json.loads(await connection.recv())
        told = said.get("response") or said["error"]["code"]
        found[said["request_id"]] = told
    return found


async def test_requests_of_many_streams_are_answered_by_number(
    node: Node, server: HttpServer
) -> None:
    async with connected(server) as connection:
        for stream in (1, 2):
            await ask(connection, stream, "open_stream", stream_id=stream)
        begin = stmt("begin immediate")
        await ask(connection, 3, "execute", stream_id=1, stmt=begin)
        await ask(connection, 4, "execute", stream_id=2, stmt=begin)
        insert = stmt("insert into t(v) values (?)", 7)
        await ask(connection, 5, "execute", stream_id=1, stmt=insert)
        await ask(connection, 6, "execute", stream_id=1, stmt=stmt("commit"))
        await ask(connection, 7, "execute", stream_id=2, stmt=stmt("select v from t"))
        await ask(connection, 8, "close_stream", stream_id=2)
        found = await answers(connection, 8)

    assert found[1] == {"type": "open_stream"}
    assert found[5]["result"]["affected_row_count"] == 1
    assert found[7]["result"]["rows"] == [[{"type": "integer", "value": "7"}]]
    assert found[8] == {"type": "close_stream"}
    assert await count(node) == 1


async def test_a_client_that_leaves_takes_its_transactions_with_it(
    node: Node, server: HttpServer
) -> None:
    async with connected(server) as connection:
        await ask(connection, 1, "open_stream", stream_id=1)
        await ask(connection, 2, "execute", stream_id=1, stmt=stmt("begin immediate"))
        await answers(connection, 2)
        await ask(connection, 3, "open_stream", stream_id=2)
        await ask(connection, 4, "execute", stream_id=2, stmt=stmt("begin immediate"))

    await run(node, "insert into t(v) values (1)")
    assert await count(node) == 1


def talks() -> list[socket.Conversation]:
    """Those of this process."""
    return [one for one in gc.get_objects() if type(one) is socket.Conversation]


async def test_nothing_is_kept_of_the_streams_that_a_client_has_named(
    server: HttpServer,
) -> None:
    before = talks()
    async with connected(server) as connection:
        for stream in range(20):
            await ask(connection, stream, "open_stream", stream_id=stream)
            await ask(connection, stream + 100, "close_stream", stream_id=stream)
            unknown = {"stream_id": stream + 100, "stmt": stmt("select 1")}
            await ask(connection, stream + 200, "execute", **unknown)
        await answers(connection, 60)

        [talk] = [one for one in talks() if one not in before]
        await until(lambda: not (talk._last or talk._lanes))


async def test_texts_are_the_connections_and_found_as_they_come(
    server: HttpServer,
) -> None:
    async with connected(server) as connection:
        await ask(connection, 1, "open_stream", stream_id=1)
        await ask(connection, 2, "store_sql", sql_id=5, sql="select 1")
        await ask(connection, 3, "execute", stream_id=1, stmt={"sql_id": 5})
        step = {"stmt": {"sql_id": 5}}
        await ask(connection, 4, "batch", stream_id=1, batch={"steps": [step]})
        await ask(connection, 5, "sequence", stream_id=1, sql_id=5)
        await ask(connection, 6, "describe", stream_id=1, sql_id=5)
        await ask(connection, 7, "close_sql", sql_id=5)
        await ask(connection, 8, "execute", stream_id=1, stmt={"sql_id": 5})
        await ask(connection, 9, "store_sql", sql_id=6, sql="x")
        await ask(connection, 10, "store_sql", sql_id=6, sql="x")
        found = await answers(connection, 10)

    assert [found[number]["type"] for number in range(2, 8)] == [
        "store_sql",
        "execute",
        "batch",
        "sequence",
        "describe",
        "close_sql",
    ]
    assert (found[8], found[10]) == ("SQL_TEXT_INVALID", "SQL_TEXT_INVALID")


async def test_what_is_wrong_is_told_and_the_connection_stays(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "MOST_LANES", 1)
    async with connected(server, "hrana1") as connection:
        assert connection.subprotocol == "hrana1"
        await ask(connection, 1, "execute", stream_id=1, stmt=stmt("select 1"))
        await ask(connection, 2, "open_stream", stream_id=1)
        await ask(connection, 3, "open_stream", stream_id=1)
        await ask(connection, 4, "execute", stream_id=1, stmt=stmt("selec 1"))
        found = await answers(connection, 4)
        await connection.send(json.dumps(HELLO))
        assert json.loads(await connection.recv()) == {"type": "hello_ok"}
        await ask(connection, 5, "open_stream", stream_id=2)
        await ask(connection, 6, "close_stream", stream_id=9)
        found |= await answers(connection, 2)

    assert found == {
        1: "STREAM_EXPIRED",
        2: {"type": "open_stream"},
        3: "SQL_TEXT_INVALID",
        4: "SQLITE_ERROR",
        5: "TOO_MANY_STREAMS",
        6: {"type": "close_stream"},
    }


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("nonsense", 3007),
        ("{}", 3007),
        (b"\x00", 3003),
        (json.dumps({"type": "request", "request_id": 1, "request": {}}), 3007),
        (
            json.dumps(
                {
                    "type": "request",
                    "request_id": 1,
                    "request": {"type": "open_stream", "stream_id": 1},
                }
            ),
            3007,
        ),
    ],
)
async def test_what_is_no_hrana_closes_the_connection(
    server: HttpServer, first: str | bytes, code: int
) -> None:
    async with connected(server, hello=False) as connection:
        await connection.send(first)
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == code


async def test_who_says_no_hello_is_closed(crowd: Crowd) -> None:
    node = await crowd.node("b", limits__head_timeout_ms=2_000)
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        connected(server, hello=False) as connection,
    ):
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 3007


async def test_who_asks_for_another_protocol_gets_no_socket(
    server: HttpServer,
) -> None:
    for offered in ("hrana3-protobuf", "hrana9"):
        with pytest.raises(InvalidStatus):
            async with connected(server, offered):
                pass


async def test_a_page_of_another_site_gets_no_socket(server: HttpServer) -> None:
    url = server.url.replace("http", "ws")
    origin = Origin("http://evil.example")
    with pytest.raises(InvalidStatus):
        async with connect(url, subprotocols=[HRANA], origin=origin, proxy=None):
            pass


async def test_a_hello_carries_the_secret_where_one_is_wanted(crowd: Crowd) -> None:
    node = await crowd.node("b", cluster_secret="s" * 32, http_addr="0.0.0.0:0")
    async with HttpServer(node, "127.0.0.1:0") as server:
        for jwt, kind in (("wrong", "hello_error"), ("s" * 32, "hello_ok")):
            async with connected(server, hello=False) as connection:
                await connection.send(json.dumps({"type": "hello", "jwt": jwt}))
                assert json.loads(await connection.recv())["type"] == kind


async def test_a_stop_ends_the_connections(node: Node) -> None:
    server = HttpServer(node, "127.0.0.1:0")
    await server.start()
    async with connected(server) as connection:
        stopping = asyncio.create_task(server.stop())
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        await stopping
    await until(stopping.done)
    assert stopping.exception() is None


async def test_who_says_nothing_is_seen_off_once_the_token_is_revoked(
    node: Node,
) -> None:
    await node.tokens.create(TokenRole.ADMIN, "", lasts_s=0)
    reader, reading = await node.tokens.create(TokenRole.READ, "", lasts_s=0)
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        connected(server, hello=False) as connection,
    ):
        await connection.send(json.dumps({"type": "hello", "jwt": reading}))
        await connection.recv()

        await node.tokens.revoke(reader.id)
        with pytest.raises(ConnectionClosed):
            await connection.recv()

    assert connection.close_code == 3007


async def test_what_a_stream_may_is_what_its_last_hello_may(node: Node) -> None:
    admin = (await node.tokens.create(TokenRole.ADMIN, "", lasts_s=0))[1]
    reader, reading = await node.tokens.create(TokenRole.READ, "", lasts_s=0)
    insert = stmt("insert into t(v) values (9)")
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        connected(server, hello=False) as connection,
    ):
        for jwt in (admin, reading):
            await connection.send(json.dumps({"type": "hello", "jwt": jwt}))
            assert json.loads(await connection.recv()) == {"type": "hello_ok"}
            if jwt is admin:
                await ask(connection, 1, "open_stream", stream_id=1)
                await answers(connection, 1)
        await ask(connection, 2, "execute", stream_id=1, stmt=insert)
        assert await answers(connection, 1) == {2: "FORBIDDEN"}

        await node.tokens.revoke(reader.id)
        await ask(connection, 3, "execute", stream_id=1, stmt=stmt("select 1"))
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 3007
