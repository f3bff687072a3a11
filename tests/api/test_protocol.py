import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.fake_node import ANSWER, FakeNode
from nexus.api.protocol import HttpLimits
from nexus.api.server import HttpServer
from nexus.model.cluster import Outcome
from nexus.node.requests import SqlRequest, SqlResponse, SqlResult
from node.builders import until

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def server(node: FakeNode) -> AsyncIterator[HttpServer]:
    async with HttpServer(node, "127.0.0.1:0") as running:
        yield running


async def connect(server: HttpServer) -> Connection:
    return await asyncio.open_connection("127.0.0.1", server.port)


BODY = b'{"statements":[{"sql":"insert into t values (1)"}]}'
POST = (
    b"POST /sql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n" % len(BODY)
)
CHUNKED = (
    b"POST /sql HTTP/1.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


def answers(told: bytes) -> list[tuple[int, dict[str, Any]]]:
    """The status and the body of each answer."""
    found = []
    while told:
        head, _, told = told.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None, head
        body, told = told[: int(length[1])], told[int(length[1]) :]
        found.append((int(head.split()[1]), json.loads(body)))
    return found


async def told(server: HttpServer, *pieces: bytes) -> list[tuple[int, dict[str, Any]]]:
    """What is answered to these bytes until the server closes."""
    connection = await connect(server)
    for piece in pieces:
        connection[1].write(piece)
        await asyncio.sleep(0)
    return answers(await closes(connection))


async def closes(connection: Connection) -> bytes:
    """What the server still says before it closes."""
    reader, writer = connection
    try:
        async with asyncio.timeout(60):
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

    [(status, problem)] = answers(await closes(connection))
    assert (status, problem["code"]) == (431, "head_too_large")
    assert "256" in problem["detail"]


async def test_trailers_without_end_are_cut_off(server: HttpServer) -> None:
    connection = await connect(server)

    connection[1].write(
        b"POST /sql HTTP/1.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    )
    await flood(connection[1], b"a: b\r\n" * 100, 10)

    assert b"200 OK" not in await closes(connection)


async def test_a_stranger_who_says_nothing_is_cut_off(node: FakeNode) -> None:
    impatient = HttpLimits(head_timeout_s=0.5)

    async with HttpServer(node, "127.0.0.1:0", impatient) as server:
        assert await told(server) == []


@pytest.mark.parametrize("before", [b"", HEALTH])
async def test_a_head_that_takes_too_long_is_refused(
    node: FakeNode, before: bytes
) -> None:
    impatient = HttpLimits(head_timeout_s=0.5)

    async with HttpServer(node, "127.0.0.1:0", impatient) as server:
        *_, (status, problem) = await told(server, before, b"GET / HTTP/1.1\r\nHo")

    assert (status, problem["code"]) == (408, "head_too_slow")


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


@pytest.mark.parametrize("requests", [1, 2])
async def test_a_caller_who_sends_no_more_after_its_request_gets_the_answer(
    server: HttpServer, requests: int
) -> None:
    connection = await connect(server)
    connection[1].write(HEALTH * requests)
    connection[1].write_eof()

    statuses = [status for status, _ in answers(await closes(connection))]

    assert statuses == [200] * requests


async def test_a_write_whose_caller_sends_no_more_is_answered(
    server: HttpServer, node: FakeNode
) -> None:
    async def late(_: SqlRequest) -> SqlResponse:
        await asyncio.sleep(0.05)
        return SqlResponse([SqlResult((), [], 1, 1)], 13, 2, Outcome.COMMITTED, 1)

    node.executes = late
    connection = await connect(server)
    connection[1].write(POST + b"\r\n" + BODY)
    connection[1].write_eof()

    [(status, told)] = answers(await closes(connection))

    assert (status, told["offset"]) == (200, 13)


async def test_where_all_wait_for_an_answer_one_more_is_refused(
    node: FakeNode,
) -> None:
    go_on = asyncio.Event()

    async def wait(_request: SqlRequest) -> SqlResponse:
        await go_on.wait()
        return ANSWER

    node.executes = wait
    async with HttpServer(node, "127.0.0.1:0", HttpLimits(connections=1)) as server:
        busy = await connect(server)
        busy[1].write(POST + b"\r\n" + BODY)
        await until(lambda: node.asked)

        refused = await closes(await connect(server))
        go_on.set()
        busy[1].write_eof()
        [(served, _)] = answers(await closes(busy))

    [(status, problem)] = answers(refused)
    assert (status, problem["code"]) == (503, "too_many_connections")
    assert b"retry-after: 1" in refused
    assert served == 200


async def test_a_connection_that_waits_for_nothing_gives_way(node: FakeNode) -> None:
    async with HttpServer(node, "127.0.0.1:0", HttpLimits(connections=1)) as server:
        idle = await connect(server)
        idle[1].write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        await idle[0].readuntil(b"}")
        slow = await connect(server)
        assert await closes(idle) == b""
        slow[1].write(b"GET /health HTTP/1.1\r\nHost: ")

        served = await connect(server)
        served[1].write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")

        assert b"200 OK" in await served[0].readuntil(b"}")
        assert await closes(slow) == b""
        served[1].close()


async def test_an_address_may_have_a_limit_of_its_own(node: FakeNode) -> None:
    limits = HttpLimits(connections_of_address=1)
    async with HttpServer(node, "127.0.0.1:0", limits) as server:
        first = await connect(server)
        refused = await closes(await connect(server))
        first[1].close()

    [(status, problem)] = answers(refused)
    assert (status, problem["code"]) == (503, "too_many_connections")
    assert "connections of 127.0.0.1" in problem["detail"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", "begins like TLS"),
        (b"GET /a b HTTP/1.1\r\n\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "no proxy"),
        (b"POST /sql HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", "header"),
        (CHUNKED + b"-1\r\n", "chunk size"),
        (CHUNKED + b"2\r\nab\r\n" + b"f" * 20 + b"\r\n", "overflow"),
    ],
)
async def test_what_is_no_request_is_refused_with_the_reason(
    server: HttpServer, said: bytes, why: str
) -> None:
    [(status, problem)] = await told(server, said)

    assert (status, problem["status"], problem["code"]) == (400, 400, "not_http")
    assert why in problem["detail"]
    assert {"title", "what_to_do"} <= set(problem)


async def test_a_refusal_reaches_a_client_that_goes_on_sending(
    server: HttpServer,
) -> None:
    connection = await connect(server)

    connection[1].write(b"nonsense\r\n\r\n")
    await flood(connection[1], b"x" * 65536, 50)

    [(status, problem)] = answers(await closes(connection))
    assert (status, problem["code"]) == (400, "not_http")


@pytest.mark.parametrize("nonsense", [b"\0\r\n\r\n", CHUNKED + b"-1\r\n"])
async def test_a_write_that_runs_is_answered_before_the_nonsense_behind_it(
    server: HttpServer, node: FakeNode, nonsense: bytes
) -> None:
    running, release = asyncio.Event(), asyncio.Event()

    async def execute(_request: SqlRequest) -> SqlResponse:
        running.set()
        await release.wait()
        return node.answer

    node.executes = execute
    connection = await connect(server)
    connection[1].write(POST + b"\r\n" + BODY + HEALTH + nonsense)
    await running.wait()
    connection[1].write(b"more nonsense")
    release.set()

    written, healthy, refused = answers(await closes(connection))
    assert (written[0], written[1]["offset"]) == (200, 13)
    assert (healthy[0], healthy[1]["status"]) == (200, "ok")
    assert (refused[0], refused[1]["code"]) == (400, "not_http")


@pytest.mark.parametrize("part", [b"", BODY[:5]])
@pytest.mark.parametrize("before", [b"", HEALTH])
async def test_a_body_that_takes_too_long_is_refused(
    node: FakeNode, before: bytes, part: bytes
) -> None:
    impatient = HttpLimits(body_timeout_s=0.5)

    async with HttpServer(node, "127.0.0.1:0", impatient) as server:
        *_, (status, problem) = await told(server, before + POST + b"\r\n", part)

    assert (status, problem["code"]) == (408, "body_too_slow")
    assert node.asked == []


async def test_a_body_that_is_sent_on_for_ever_after_the_answer_is_cut_off(
    node: FakeNode,
) -> None:
    impatient = HttpLimits(body_timeout_s=0.5)

    async with HttpServer(node, "127.0.0.1:0", impatient) as server:
        connection = await connect(server)
        connection[1].write(CHUNKED.replace(b"json", b"xml") + b"1\r\nx\r\n")
        [(status, _)] = answers(await closes(connection))

    assert status == 415


LARGE = SqlResponse(
    [SqlResult(("a",), [("x" * (16 << 20),)], 0, 0)], 0, 1, Outcome.COMMITTED, 1
)
"""More than the kernel's buffers take."""


async def test_whoever_takes_nothing_of_an_answer_is_cut_off(node: FakeNode) -> None:
    node.answer = LARGE
    impatient = HttpLimits(read_timeout_s=0.5)

    async with HttpServer(node, "127.0.0.1:0", impatient) as server:
        connection = await connect(server)
        connection[1].write(POST + b"\r\n" + BODY)
        await until(lambda: node.asked and not node.measures.http_connections())
        taken = await closes(connection)

    assert len(taken) < 16 << 20


async def test_whoever_takes_an_answer_slowly_gets_all_of_it(node: FakeNode) -> None:
    node.answer = LARGE
    patient = HttpLimits(read_timeout_s=1.0)
    taken = 0

    async with HttpServer(node, "127.0.0.1:0", patient) as server:
        reader, writer = await connect(server)
        writer.write(POST + b"Connection: close\r\n\r\n" + BODY)
        while piece := await reader.read(64 << 10):
            taken += len(piece)
            await asyncio.sleep(0.006)
        writer.close()

    assert taken > 16 << 20


@pytest.mark.parametrize("length", [1, 7, 1000])
async def test_a_wish_for_another_protocol_is_ignored_and_the_request_is_not(
    server: HttpServer, node: FakeNode, length: int
) -> None:
    wish = b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    said = (POST + wish + b"\r\n" + BODY) * 2 + b"GET /health HTTP/1.1\r\n"
    said += b"Connection: close\r\n\r\n"
    pieces = [said[at : at + length] for at in range(0, len(said), length)]

    statuses = [status for status, _ in await told(server, *pieces)]

    assert statuses == [200, 200, 200]
    assert len(node.asked) == 2
