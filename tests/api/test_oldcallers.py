"""Callers of HTTP/1.0 get bodies without chunks, whole."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from api.fake_node import FakeNode
from nexus.api.server import HttpServer
from nexus.model.change import Change

CHANGE = Change(op="insert", id="2:9@h2", epoch=2, offset=9, new={"a": 1})


@pytest.fixture
async def server(node: FakeNode) -> AsyncIterator[HttpServer]:
    async with HttpServer(node, "127.0.0.1:0") as running:
        yield running


async def whole(server: HttpServer, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the one answer, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    async with asyncio.timeout(60):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.lower(), body


async def test_a_body_of_unknown_length_ends_with_the_connection(
    server: HttpServer, node: FakeNode
) -> None:
    node.feed = [CHANGE, CHANGE]

    head, body = await whole(server, b"GET /changes?from=9 HTTP/1.0\r\n\r\n")

    assert head.startswith(b"http/1.1 200")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert [json.loads(line)["op"] for line in body.splitlines()] == ["insert"] * 2


@pytest.mark.parametrize(("method", "says_more"), [(b"GET", True), (b"HEAD", False)])
async def test_a_length_that_is_known_is_told(
    server: HttpServer, method: bytes, *, says_more: bool
) -> None:
    head, body = await whole(server, method + b" /health HTTP/1.0\r\n\r\n")

    assert b"content-length: " in head
    assert b"transfer-encoding" not in head
    assert bool(body) is says_more


async def test_what_breaks_off_does_not_end_as_if_it_were_whole(
    server: HttpServer, node: FakeNode
) -> None:
    node.feed, node.feed_end = [CHANGE], ZeroDivisionError()

    with pytest.raises(ConnectionResetError):
        await whole(server, b"GET /changes?from=9 HTTP/1.0\r\n\r\n")
