import asyncio
from collections.abc import AsyncIterator

import pytest

from api.fake_node import FakeNode
from nexus.api.protocol import HttpLimits
from nexus.api.server import HttpServer

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def server(node: FakeNode) -> AsyncIterator[HttpServer]:
    async with HttpServer(node, "127.0.0.1:0") as running:
        yield running


async def connect(server: HttpServer) -> Connection:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def closes(connection: Connection) -> bytes:
    """What the server still says before it closes."""
    reader, writer = connection
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def flood(writer: asyncio.StreamWriter, piece: bytes, times: int) -> None:
    try:
        for _ in range(times):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        return


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\nX-", b"GET / HTTP/1.1\r\nA: "]
)
async def test_a_head_without_end_is_cut_off(server: HttpServer, start: bytes) -> None:
    connection = await connect(server)

    connection[1].write(start)
    await flood(connection[1], b"x" * 8192, 1000)

    assert b"200 OK" not in await closes(connection)


async def test_headers_without_end_are_cut_off(server: HttpServer) -> None:
    connection = await connect(server)

    connection[1].write(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n")

    assert b"200 OK" not in await closes(connection)


async def test_trailers_without_end_are_cut_off(server: HttpServer) -> None:
    connection = await connect(server)

    connection[1].write(
        b"POST /sql HTTP/1.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    )
    await flood(connection[1], b"a: b\r\n" * 100, 10)

    assert b"200 OK" not in await closes(connection)


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHo"])
async def test_a_stranger_who_says_nothing_more_is_cut_off(
    node: FakeNode, start: bytes
) -> None:
    impatient = HttpLimits(head_timeout_s=0.05)

    async with HttpServer(node, "127.0.0.1:0", impatient) as server:
        connection = await connect(server)
        connection[1].write(start)

        assert await closes(connection) == b""


async def test_a_head_may_arrive_in_pieces_and_the_connection_is_kept(
    server: HttpServer,
) -> None:
    reader, writer = await connect(server)
    for _ in range(2):
        for piece in (b"GET /health HT", b"TP/1.1\r\nHost", b": a\r\n", b"\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        await reader.readuntil(b"}")
    writer.close()


async def test_connections_are_bounded(node: FakeNode) -> None:
    async with HttpServer(node, "127.0.0.1:0", HttpLimits(connections=1)) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"}")

        assert await closes(await connect(server)) == b""
        writer.close()
