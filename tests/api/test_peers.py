"""Another node is asked in time, with the cluster's secret, and its silence is told."""

import asyncio

import pytest

from api.fake_master import listening, reply
from api.fake_node import FakeNode
from nexus.api.connections import ConnectionLimits
from nexus.api.peers import Peers, PeerSilentError
from nexus.config import Config
from nexus.model.secret import Secret
from nexus.model.token import token_text
from nexus.node.network.security import TransportSecurity


async def test_a_call_names_its_sender_and_carries_the_secret(node: FakeNode) -> None:
    node.config = Config(cluster_secret=Secret("s" * 16))
    async with listening(reply(b'{"a": 1}')) as other:
        peers = Peers(node)
        answer = await peers.get(f"{other.url}/databases/x/", "/cluster/node?a=1")
        posted = await peers.post(other.url, "/replication/pause", b"{}", {})
        peers.close()

    assert (answer.status, answer.body, posted.body) == (200, b'{"a": 1}', b'{"a": 1}')
    line, headers, _ = other.requests[0]
    assert line == "GET /databases/x/cluster/node?a=1 HTTP/1.1"
    assert headers["authorization"] == "Bearer " + "s" * 16
    assert headers["nexus-forwarded-by"] == "n1"
    assert other.requests[1][0] == "POST /replication/pause HTTP/1.1"
    assert other.requests[1][2] == b"{}"


async def test_a_connection_to_another_node_ends_with_its_certificate(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[asyncio.WriteTransport] = []
    monkeypatch.setattr(
        TransportSecurity, "met", lambda _, transport: met.append(transport)
    )
    async with listening() as other:
        peers = Peers(node)
        await peers.get(other.url, "/health")
        peers.close()

    assert len(met) == 1


async def test_without_a_secret_nothing_is_proven(node: FakeNode) -> None:
    async with listening() as other:
        peers = Peers(node)
        await peers.get(other.url, "/health")
        peers.close()

    assert "authorization" not in other.requests[0][1]


@pytest.mark.parametrize("secret", ["", "s" * 16])
async def test_a_callers_token_speaks_only_where_no_secret_does(
    node: FakeNode, secret: str
) -> None:
    node.config = Config(cluster_secret=Secret(secret))
    token = token_text("0123456789", b"x" * 32)
    async with listening() as other:
        peers = Peers(node)
        await peers.get(other.url, "/health", token)
        peers.close()

    assert other.requests[0][1]["authorization"] == f"Bearer {secret or token}"


@pytest.mark.parametrize(
    "url", ["ftp://a:1", "http://", "http://a:port", "nothing", "http://[::1"]
)
async def test_what_is_no_url_is_not_asked(node: FakeNode, url: str) -> None:
    with pytest.raises(PeerSilentError, match="no address"):
        await Peers(node).get(url, "/health")


async def test_a_node_that_says_nothing_is_not_waited_for(node: FakeNode) -> None:
    async with listening() as other:
        other.hold.clear()
        peers = Peers(node, ConnectionLimits(answer_timeout_s=0.05))
        with pytest.raises(PeerSilentError, match="does not answer: no answer in"):
            await peers.get(other.url, "/health")


async def test_a_node_that_is_gone_is_told_from_one_that_is_silent(
    node: FakeNode,
) -> None:
    async with listening() as other:
        url = other.url

    with pytest.raises(PeerSilentError, match="Connect call failed"):
        await Peers(node).get(url, "/health")


async def test_the_secret_never_goes_to_a_node_of_another_scheme(
    node: FakeNode,
) -> None:
    with pytest.raises(PeerSilentError, match=r"speaks no TLS; set tls\.cert_file"):
        await Peers(node).get("https://127.0.0.1:1", "/health")
