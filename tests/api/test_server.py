import asyncio
import json
import random
import signal
import socket
from pathlib import Path

import httpx
import pytest

from api.fake_node import FakeNode
from nexus.api.calls import json_response
from nexus.api.protocol import HttpLimits
from nexus.api.server import HttpServer
from nexus.config import Config
from nexus.errors import ConfigurationError, ReadOnlyReplicaError
from nexus.node.requests import SqlRequest, SqlResponse

INSERT = {"statements": [{"sql": "insert into t values (1)"}]}


async def test_it_serves_on_a_port_that_the_system_chose(node: FakeNode) -> None:
    before = signal.getsignal(signal.SIGTERM)

    async with HttpServer(node, "127.0.0.1:0") as server:
        assert server.port
        assert signal.getsignal(signal.SIGTERM) is before
        async with httpx.AsyncClient(base_url=server.url) as client:
            answer = await client.post("/sql", json=INSERT)

    assert answer.json()["offset"] == 13
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_the_address_of_the_configuration_is_the_default(tmp_path: Path) -> None:
    node = FakeNode(tmp_path, Config(http_addr="127.0.0.1:0"))

    async with HttpServer(node) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"


async def test_every_address_of_a_host_is_served_on_one_port(node: FakeNode) -> None:
    async with (
        HttpServer(node, "localhost:0") as server,
        httpx.AsyncClient() as client,
    ):
        answer = await client.get(f"http://127.0.0.1:{server.port}/health")

    assert answer.status_code == 200
    assert server.url == f"http://localhost:{server.port}"


@pytest.mark.parametrize(
    ("address", "url"),
    [("0.0.0.0:0", "http://127.0.0.1:0"), (":0", "http://127.0.0.1:0")],
)
def test_the_url_is_one_that_this_machine_can_reach(
    node: FakeNode, address: str, url: str
) -> None:
    assert HttpServer(node, address).url == url


def test_an_ipv6_url_has_brackets(node: FakeNode) -> None:
    assert HttpServer(node, "[::]:7").url == "http://[::1]:0"


async def test_a_port_that_is_taken_is_an_error_that_names_the_mend(
    node: FakeNode,
) -> None:
    async with HttpServer(node, "127.0.0.1:0") as first:
        second = HttpServer(node, f"127.0.0.1:{first.port}")
        with pytest.raises(ConfigurationError) as caught:
            await second.start()
        await second.stop()

    told = str(caught.value)
    assert f"127.0.0.1:{first.port}" in told
    assert "in use" in told
    assert "http_addr" in told


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_of_another_machine_is_an_error(
    node: FakeNode, host: str
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        await HttpServer(node, f"{host}:0").start()


async def test_a_stop_finishes_the_request_that_runs(node: FakeNode) -> None:
    running, release = asyncio.Event(), asyncio.Event()

    async def execute(_request: SqlRequest) -> SqlResponse:
        running.set()
        await release.wait()
        return node.answer

    node.executes = execute
    server = HttpServer(node, "127.0.0.1:0")
    await server.start()
    async with httpx.AsyncClient(base_url=server.url) as client:
        request = asyncio.create_task(client.post("/sql", json=INSERT))
        await running.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        release.set()
        answer = await request
        await stopping

    assert answer.status_code == 200


async def test_a_stop_cancels_what_does_not_end(node: FakeNode) -> None:
    running = asyncio.Event()
    cancelled = asyncio.Event()

    async def execute(_request: SqlRequest) -> SqlResponse:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return node.answer

    node.executes = execute
    server = HttpServer(node, "127.0.0.1:0", HttpLimits(grace_s=1))
    await server.start()
    async with httpx.AsyncClient(base_url=server.url) as client:
        request = asyncio.create_task(client.post("/sql", json=INSERT))
        await running.wait()
        async with asyncio.timeout(60):
            await server.stop()
        await asyncio.wait_for(cancelled.wait(), 60)
        answer = await request

    assert (answer.status_code, answer.json()["code"]) == (504, "outcome_unknown")


async def test_garbage_on_the_port_leaves_the_node_serving(node: FakeNode) -> None:
    dice = random.Random(7)
    starts = [
        b"",
        b"POST /sql HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"POST /sql HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"POST /sql HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ]

    async with HttpServer(node, "127.0.0.1:0") as server:
        for turn in range(200):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(starts[turn % len(starts)] + dice.randbytes(200))
            writer.write_eof()
            try:
                await asyncio.wait_for(reader.read(), 60)
            except ConnectionError:
                pass
            finally:
                writer.close()
        async with httpx.AsyncClient(base_url=server.url) as client:
            answer = await client.post("/sql", json=INSERT)

    assert answer.status_code == 200


async def test_requests_sent_ahead_are_answered_in_order(node: FakeNode) -> None:
    requests = b"".join(
        b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path
        for path in (b"/health", b"/nope", b"/health/replica")
    )

    async with HttpServer(node, "127.0.0.1:0") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(requests)
        heads = []
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(int(head.split()[1]))
            length = next(
                line for line in head.split(b"\r\n") if b"content-length" in line
            )
            await reader.readexactly(int(length.split(b":")[1]))
        writer.close()

    assert heads == [200, 404, 503]


async def test_a_master_that_is_not_there_is_told_of_over_a_real_socket(
    tmp_path: Path,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    node = FakeNode(tmp_path, replica=True)
    node.error = ReadOnlyReplicaError("a replica", master_url=url)

    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        answer = await client.post("/sql", json=INSERT)

    assert (answer.status_code, answer.json()["code"]) == (503, "no_master")


async def test_a_write_passes_through_a_replica_to_a_master(
    node: FakeNode, replica: FakeNode
) -> None:
    async with HttpServer(node, "127.0.0.1:0") as master:
        replica.error = ReadOnlyReplicaError("a replica", master_url=master.url)
        async with (
            HttpServer(replica, "127.0.0.1:0") as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            answers = [await client.post("/sql", json=INSERT) for _ in range(3)]

    assert [answer.json()["offset"] for answer in answers] == [13, 13, 13]
    assert len(node.asked) == 3


async def test_direct_forwarded_and_starlettes_answers_are_the_same_bytes(
    node: FakeNode, replica: FakeNode
) -> None:
    async with HttpServer(node, "127.0.0.1:0") as master:
        replica.error = ReadOnlyReplicaError("a replica", master_url=master.url)
        async with HttpServer(replica, "127.0.0.1:0") as server:
            direct, forwarded = [
                await raw_answer(each.port, json.dumps(INSERT).encode())
                for each in (master, server)
            ]
    slow = json_response(node.answer)
    head = b"".join(b"%s: %s\r\n" % header for header in slow.raw_headers)

    assert direct == forwarded
    assert direct == b"HTTP/1.1 200 OK\r\n%sconnection: close\r\n\r\n%s" % (
        head,
        slow.body,
    )


async def raw_answer(port: int, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /sql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_master_that_dies_in_mid_request_leaves_the_outcome_unknown(
    replica: FakeNode,
) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    dying = await asyncio.start_server(die, "127.0.0.1", 0)
    port = dying.sockets[0].getsockname()[1]
    replica.error = ReadOnlyReplicaError("x", master_url=f"http://127.0.0.1:{port}")

    async with (
        dying,
        HttpServer(replica, "127.0.0.1:0") as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        answer = await client.post("/sql", json=INSERT)

    assert (answer.status_code, answer.json()["code"]) == (504, "outcome_unknown")
