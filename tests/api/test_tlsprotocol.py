"""HTTP over TLS, as clients and other nodes meet it."""

import asyncio
from pathlib import Path

import httpx
import msgspec
import pytest
import uvloop
import websockets

from api.fake_node import FakeNode
from certificates import Office
from nexus.api.peers import Peers, PeerSilentError
from nexus.api.server import HttpServer
from nexus.config import Config
from nexus.errors import NoMasterError, ReadOnlyReplicaError
from nexus.model.cluster import Role
from nexus.node.network.tlsport import HANDSHAKE
from nexus.tls.contexts import TlsFiles, client_context

INSERT = {"statements": [{"sql": "insert into t values (1)"}]}


def secured(directory: Path, office: Office, *, replica: bool = False) -> FakeNode:
    config = Config(http_addr="127.0.0.1:0", tls=office.settings())
    return FakeNode(directory, config, replica=replica)


def trusting(office: Office, files: TlsFiles | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=client_context(files or office.nobody()))


def test_calls_are_answered_over_tls_on_the_loop_that_nodes_use(
    tmp_path: Path, office: Office
) -> None:
    async def check() -> None:
        node = secured(tmp_path, office)
        async with HttpServer(node) as server, trusting(office) as client:
            answers = [await client.post(f"{server.url}/sql", json=INSERT)]
            answers.append(await client.get(f"{server.url}/health"))
        assert server.url.startswith("https://127.0.0.1:")
        assert [answer.status_code for answer in answers] == [200, 200]

    asyncio.run(check())
    uvloop.run(check())


async def test_who_writes_http_is_told_to_write_https(
    tmp_path: Path, office: Office
) -> None:
    async with (
        HttpServer(secured(tmp_path, office)) as server,
        httpx.AsyncClient() as client,
    ):
        answer = await client.get(f"http://127.0.0.1:{server.port}/health")

    assert answer.status_code == 400
    assert "write https://" in answer.json()["detail"]


async def test_who_writes_https_to_a_plain_port_is_told_so_on_both_sides(
    tmp_path: Path, office: Office
) -> None:
    node = FakeNode(tmp_path, Config(http_addr="127.0.0.1:0"))
    async with HttpServer(node) as server, trusting(office) as client:
        with pytest.raises(httpx.ConnectError, match="WRONG_VERSION_NUMBER"):
            await client.get(f"https://127.0.0.1:{server.port}/health")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        said = await reader.read()
        writer.close()

    assert b"begins like TLS, which is not spoken here" in said


async def test_what_is_no_request_is_refused_and_the_connection_ends(
    tmp_path: Path, office: Office
) -> None:
    async with HttpServer(secured(tmp_path, office)) as server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=client_context(office.nobody())
        )
        writer.write(b"what is this\r\n\r\n")
        said = await reader.read()
        writer.close()

    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"the request is not HTTP" in said


async def test_a_caller_that_leaves_is_forgotten(
    tmp_path: Path, office: Office
) -> None:
    node = secured(tmp_path, office)
    async with HttpServer(node) as server, trusting(office) as client:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=client_context(office.nobody())
        )
        writer.write(b"POST /sql HTTP/1.1\r\ncontent-length: 9\r\n\r\n{")
        writer.close()
        await writer.wait_closed()
        answer = await client.get(f"{server.url}/health")

    assert answer.status_code == 200


async def test_a_web_socket_goes_over_tls_too(tmp_path: Path, office: Office) -> None:
    async with (
        HttpServer(secured(tmp_path, office)) as server,
        websockets.connect(
            server.url.replace("https", "wss"),
            ssl=client_context(office.nobody()),
            subprotocols=[websockets.Subprotocol("hrana2")],
        ) as socket,
    ):
        await socket.send('{"type":"hello","jwt":null}')
        said = await socket.recv()

    assert "hello_ok" in str(said)


@pytest.mark.parametrize(("who", "status"), [("node", 200), ("client", 401)])
async def test_what_a_node_has_passed_on_comes_with_its_certificate(
    tmp_path: Path, office: Office, who: str, status: int
) -> None:
    files = {"node": office.node("other"), "client": office.client()}[who]
    async with (
        HttpServer(secured(tmp_path, office)) as server,
        trusting(office, files) as client,
    ):
        answer = await client.post(
            f"{server.url}/sql", json=INSERT, headers={"nexus-forwarded-by": "n2"}
        )

    assert answer.status_code == status
    assert ("node's certificate" in answer.text) is (who == "client")


async def test_a_replica_passes_a_write_on_over_tls(
    tmp_path: Path, office: Office
) -> None:
    replica = secured(tmp_path, office, replica=True)
    async with (
        HttpServer(secured(tmp_path, office)) as master,
        HttpServer(replica) as server,
        trusting(office) as client,
    ):
        replica.error = ReadOnlyReplicaError("a replica", master_url=master.url)
        answer = await client.post(f"{server.url}/sql", json=INSERT)

    assert (answer.status_code, answer.json()["offset"]) == (200, 13)


async def test_while_nodes_change_over_a_write_is_passed_on_either_way(
    tmp_path: Path, office: Office
) -> None:
    tls = msgspec.structs.replace(office.settings(), mode="optional")
    both = Config(http_addr="127.0.0.1:0", tls=tls)
    replica = FakeNode(tmp_path, both, replica=True)
    plain = FakeNode(tmp_path, Config(http_addr="127.0.0.1:0"))
    async with (
        HttpServer(secured(tmp_path, office)) as protected,
        HttpServer(FakeNode(tmp_path, both)) as changing,
        HttpServer(plain) as bare,
        HttpServer(replica) as server,
        trusting(office) as client,
    ):
        assert server.url.startswith("http://")
        for url in (protected.url, changing.url, bare.url):
            replica.error = ReadOnlyReplicaError("a replica", master_url=url)
            for own in (server.url, server.url.replace("http", "https")):
                answer = await client.post(f"{own}/sql", json=INSERT)
                assert (answer.status_code, answer.json()["offset"]) == (200, 13)


async def test_a_node_with_tls_never_speaks_plainly_to_who_says_so(
    tmp_path: Path, office: Office
) -> None:
    heard: list[bytes] = []

    async def listen(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        heard.append(await reader.read(100))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    stranger = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = stranger.sockets[0].getsockname()[1]
    node = secured(tmp_path, office)
    with pytest.raises(PeerSilentError, match="does not speak TLS"):
        await Peers(node).get(f"http://127.0.0.1:{port}", "/health")
    stranger.close()

    assert heard[0].startswith(HANDSHAKE)
    assert all(b"HTTP" not in piece for piece in heard)


async def test_a_replica_passes_nothing_on_to_who_is_not_its_master(
    tmp_path: Path, office: Office
) -> None:
    other = Office.opened(tmp_path / "other")
    replica = secured(tmp_path, office, replica=True)
    plain = FakeNode(tmp_path, Config(http_addr="127.0.0.1:0"))
    async with (
        HttpServer(secured(tmp_path, other)) as stranger,
        HttpServer(plain) as bare,
        HttpServer(replica) as server,
        trusting(office) as client,
    ):
        told = []
        for url in (stranger.url, bare.url):
            replica.error = ReadOnlyReplicaError("a replica", master_url=url)
            told.append(await client.post(f"{server.url}/sql", json=INSERT))

    assert [answer.json()["code"] for answer in told] == [NoMasterError.code] * 2
    assert "of a CA that is not trusted here" in told[0].json()["detail"]
    assert "it does not speak TLS on this port" in told[1].json()["detail"]
    assert replica.current.role is Role.REPLICA
