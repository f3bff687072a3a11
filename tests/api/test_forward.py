import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from api.fake_master import FakeMaster, listening, reply
from api.fake_node import FakeNode, client_of
from nexus.api.connections import ConnectionLimits
from nexus.api.forward import Forwarder
from nexus.config import Config
from nexus.errors import NoMasterError, ReadOnlyReplicaError
from nexus.model.cluster import Role
from nexus.model.secret import Secret
from nexus.node.network.security import TransportSecurity

INSERT = {"statements": [{"sql": "insert into t values (1)"}]}


@pytest.fixture
async def master() -> AsyncIterator[FakeMaster]:
    async with listening(reply(b'{"offset":14}')) as running:
        yield running


@pytest.fixture
def replica(tmp_path: Path, master: FakeMaster) -> FakeNode:
    config = Config(cluster_secret=Secret("geheim 100%"))
    node = FakeNode(tmp_path, config, replica=True)
    node.error = ReadOnlyReplicaError("a replica", master_url=f"{master.url}/")
    return node


async def test_a_write_goes_to_the_master_with_the_secret_and_its_answer_comes_back(
    master: FakeMaster, replica: FakeNode
) -> None:
    async with client_of(replica) as client:
        sent = await client.post("/sql", json=INSERT)

    [(line, headers, body)] = master.requests
    assert sent.json() == {"offset": 14}
    assert line == "POST /sql HTTP/1.1"
    assert body == sent.request.content
    assert headers["host"] == f"127.0.0.1:{master.port}"
    assert headers["authorization"] == "Bearer geheim 100%"
    assert headers["nexus-forwarded-by"] == "n1"
    assert headers["content-type"] == "application/json"


async def test_writes_follow_each_other_over_one_connection(
    master: FakeMaster, replica: FakeNode
) -> None:
    async with client_of(replica) as client:
        for _ in range(5):
            await client.post("/sql", json=INSERT)

    assert (len(master.requests), len(master.connections)) == (5, 1)


async def test_the_master_of_now_is_asked(
    master: FakeMaster, replica: FakeNode
) -> None:
    async with listening(reply(b'{"offset":15}')) as heir, client_of(replica) as client:
        await client.post("/sql", json=INSERT)
        replica.error = ReadOnlyReplicaError("a replica", master_url=heir.url)
        answer = await client.post("/sql", json=INSERT)

    assert answer.json() == {"offset": 15}
    assert (len(master.requests), len(heir.requests)) == (1, 1)


async def test_the_masters_problem_is_passed_back_whole(
    master: FakeMaster, replica: FakeNode
) -> None:
    master.replies = [
        reply(
            b'{"code":"writes_stopped"}',
            "503 Service Unavailable",
            "Content-Type: application/problem+json",
            "Retry-After: 5",
            "X-Other: no",
        )
    ]

    async with client_of(replica) as client:
        answer = await client.post("/sql", json=INSERT)

    assert answer.status_code == 503
    assert answer.content == b'{"code":"writes_stopped"}'
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "X-Other" not in answer.headers


async def test_a_write_that_was_passed_on_once_is_not_passed_on_again(
    master: FakeMaster, replica: FakeNode
) -> None:
    async with client_of(replica) as client:
        answer = await client.post(
            "/sql", json=INSERT, headers={"Nexus-Forwarded-By": "n9"}
        )

    assert (answer.status_code, answer.json()["code"]) == (503, "no_master")
    assert "n9" in answer.json()["detail"]
    assert answer.headers["Retry-After"]
    assert master.requests == []


@pytest.mark.parametrize(
    "error",
    [
        ReadOnlyReplicaError("a replica"),
        NoMasterError("none known"),
        ReadOnlyReplicaError("a replica", master_url="nonsense:1:2"),
        ReadOnlyReplicaError("a replica", master_url="http://a:b"),
        ReadOnlyReplicaError("a replica", master_url="http://:7"),
        ReadOnlyReplicaError("a replica", master_url="https://a:7"),
    ],
)
async def test_without_a_master_nothing_happens(
    replica: FakeNode, error: Exception
) -> None:
    replica.error = error

    async with client_of(replica) as client:
        answer = await client.post("/sql", json=INSERT)

    assert (answer.status_code, answer.json()["code"]) == (503, "no_master")
    assert answer.headers["Retry-After"]


async def test_a_master_out_of_reach_is_no_master(replica: FakeNode) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    replica.error = ReadOnlyReplicaError("a replica", master_url=url)

    async with client_of(replica) as client:
        answer = await client.post("/sql", json=INSERT)

    assert (answer.status_code, answer.json()["code"]) == (503, "no_master")
    assert url in answer.json()["detail"]
    assert answer.headers["Retry-After"]


async def test_a_lost_answer_leaves_the_outcome_unknown_and_is_not_asked_for_again(
    master: FakeMaster, replica: FakeNode
) -> None:
    master.replies = [None]

    async with client_of(replica) as client:
        answer = await client.post("/sql", json=INSERT)

    assert (answer.status_code, answer.json()["code"]) == (504, "outcome_unknown")
    assert master.url in answer.json()["detail"]
    assert "transaction_id" in answer.json()["what_to_do"]
    assert len(master.requests) == 1


async def test_a_connection_that_the_master_closed_is_not_used_again(
    master: FakeMaster, replica: FakeNode
) -> None:
    async with client_of(replica) as client:
        await client.post("/sql", json=INSERT)
        master.connections[0].close()
        await master.connections[0].wait_closed()
        await asyncio.sleep(0.01)
        answer = await client.post("/sql", json=INSERT)

    assert answer.status_code == 200
    assert len(master.connections) == 2


async def test_a_read_stays_on_the_replica(
    master: FakeMaster, replica: FakeNode
) -> None:
    replica.error = None

    async with client_of(replica) as client:
        answer = await client.post("/sql", json=INSERT)

    assert answer.status_code == 200
    assert master.requests == []


def knows(node: FakeNode, url: str, **changes: Any) -> None:
    """What the replica's own link says of its master."""
    status = msgspec.structs.replace(node.current, master_url=url, connected=True)
    node.current = msgspec.structs.replace(status, **changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"connected": False}, "has lost its master"),
        ({"master_url": "http://other:1"}, "the master is at http://other:1"),
        ({"role": Role.MASTER}, "this node is the master now"),
    ],
)
async def test_a_write_at_a_master_that_stands_still_is_unknown_soon(
    master: FakeMaster, replica: FakeNode, changes: dict[str, Any], why: str
) -> None:
    knows(replica, master.url)
    master.hold.clear()

    async with client_of(replica) as client:
        asking = asyncio.create_task(client.post("/sql", json=INSERT))
        await master.arrived.wait()
        await asyncio.sleep(1.5)  # as long as the link stands it is waited for
        assert not asking.done()
        knows(replica, master.url, **changes)
        answer = await asking
    master.hold.set()

    assert (answer.status_code, answer.json()["code"]) == (504, "outcome_unknown")
    assert why in answer.json()["detail"]


async def test_a_write_with_a_transaction_id_is_asked_for_again_at_the_new_master(
    master: FakeMaster, replica: FakeNode
) -> None:
    knows(replica, master.url)
    master.hold.clear()
    named = {**INSERT, "transaction_id": "once"}

    async with listening(reply(b'{"offset":15}')) as heir, client_of(replica) as client:
        asking = asyncio.create_task(client.post("/sql", json=named))
        await master.arrived.wait()
        replica.error = NoMasterError("an election")
        knows(replica, master.url, connected=False)
        await asyncio.sleep(1.5)
        replica.error = ReadOnlyReplicaError("a replica", master_url=heir.url)
        knows(replica, heir.url)
        answer = await asking
    master.hold.set()

    assert answer.json() == {"offset": 15}
    assert len(heir.requests) == 1


async def test_where_nobody_comes_to_reign_the_outcome_stays_unknown(
    master: FakeMaster, replica: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus.api.sql.LEAST_AGAIN_S", 0.3)
    config = replace(replica.config.replication, heartbeat_ms=20)
    replica.config = replace(replica.config, replication=config)
    knows(replica, master.url, connected=False)
    master.hold.clear()

    async with client_of(replica) as client:
        named = {**INSERT, "transaction_id": "once"}
        asking = asyncio.create_task(client.post("/sql", json=named))
        await master.arrived.wait()
        replica.error = NoMasterError("an election")
        answer = await asking
    master.hold.set()

    assert (answer.status_code, answer.json()["code"]) == (504, "outcome_unknown")


async def test_a_replica_that_follows_a_replica_has_the_write_passed_on(
    master: FakeMaster, replica: FakeNode
) -> None:
    replica.current = replace(replica.current, master_id="m", upstream_id="r")
    passed = {"nexus-forwarded-by": "n9", "nexus-passed-up-by": "n8,n9"}

    async with client_of(replica) as client:
        await client.post("/sql", json=INSERT)
        await client.post("/sql", json=INSERT, headers=passed)
        again = passed | {"nexus-passed-up-by": "n1,n9"}
        refused = await client.post("/sql", json=INSERT, headers=again)

    (_, first, _), (_, second, _) = master.requests
    assert first["nexus-passed-up-by"] == "n1"
    assert second["nexus-passed-up-by"] == "n8,n9,n1"
    assert second["nexus-forwarded-by"] == "n1"
    assert refused.status_code == 503
    assert "has come back to this node" in refused.json()["detail"]


async def test_the_last_replica_before_the_master_passes_it_on_for_good(
    master: FakeMaster, replica: FakeNode
) -> None:
    replica.current = replace(replica.current, master_id="m", upstream_id="m")
    passed = {"nexus-forwarded-by": "n9", "nexus-passed-up-by": "n9"}

    async with client_of(replica) as client:
        await client.post("/sql", json=INSERT, headers=passed)

    [(_, headers, _)] = master.requests
    assert "nexus-passed-up-by" not in headers
    assert headers["nexus-forwarded-by"] == "n1"


async def test_only_so_many_cursors_are_read_from_the_master_at_once(
    replica: FakeNode,
) -> None:
    assert isinstance(replica.error, ReadOnlyReplicaError)
    forwarder = Forwarder(replica, ConnectionLimits(connections=1))
    first = await forwarder.stream(replica.error, {}, b"{}", "/v3/cursor")
    with pytest.raises(NoMasterError, match="1 cursors are read from it already"):
        await forwarder.stream(replica.error, {}, b"{}", "/v3/cursor")
    assert await first.whole() == b'{"offset":14}'
    second = await forwarder.stream(replica.error, {}, b"{}", "/v3/cursor")
    second.close()

    counts = {"answered": 2, "unsent": 1, "lost": 0}
    assert replica.measures.forwarded == counts


async def test_a_cursors_master_that_cannot_be_reached_was_sent_nothing(
    replica: FakeNode,
) -> None:
    nobody = ReadOnlyReplicaError("a replica", master_url="http://127.0.0.1:9")
    forwarder = Forwarder(replica, ConnectionLimits(connections=1))
    for _ in range(2):  # the place of the first one is free again
        with pytest.raises(NoMasterError, match="cannot be reached"):
            await forwarder.stream(nobody, {}, b"{}", "/v3/cursor")


async def test_connections_to_the_master_end_with_its_certificate(
    replica: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[asyncio.WriteTransport] = []
    monkeypatch.setattr(
        TransportSecurity, "met", lambda _, transport: met.append(transport)
    )
    assert isinstance(replica.error, ReadOnlyReplicaError)
    forwarder = Forwarder(replica)

    await forwarder.forward(replica.error, {}, b"{}")
    answer = await forwarder.stream(replica.error, {}, b"{}", "/v3/cursor")
    answer.close()
    forwarder.close()

    assert len(met) == 2
