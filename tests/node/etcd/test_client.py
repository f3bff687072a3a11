"""The client and a real etcd agree on both keys, leases and who was first."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from certificates import Office
from e2e.cluster import free_port
from e2e.etcd import Etcd, running_etcd
from nexus.errors import ConfigurationError, EtcdError
from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.node.etcd.client import EtcdClient, EtcdSettings, LeaderValue
from nexus.replication.etcd.keys import Keys, SyncedKey

A, B = NodeId("a"), NodeId("b")
OF_A, OF_B = LeaderValue(A, "a:1"), LeaderValue(B, "b:1")
NOBODY = f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    directory: Path = tmp_path_factory.mktemp("real") / "etcd"
    with running_etcd(directory) as running:
        yield running


def client_of(etcd: Etcd, prefix: str, *before: str) -> EtcdClient:
    endpoints = (*before, *etcd.endpoints.split(","))
    return EtcdClient(EtcdSettings(endpoints=endpoints, prefix=prefix, timeout_s=60.0))


@pytest.fixture
async def client(
    etcd: Etcd, request: pytest.FixtureRequest
) -> AsyncIterator[EtcdClient]:
    made = client_of(etcd, f"/{request.node.name}", NOBODY)
    yield made
    await made.close()


async def founded(client: EtcdClient) -> tuple[int, Keys]:
    lease_id, ttl_ms = await client.grant(5)
    assert ttl_ms == 5_000
    new = SyncedKey(nodes=(A,), epoch_base=Epoch(7))
    done, keys = await client.take(OF_A, lease_id, new)
    assert done
    return lease_id, keys


async def test_the_first_takes_the_key_and_writes_the_list(client: EtcdClient) -> None:
    assert await client.read() == Keys()

    lease_id, keys = await founded(client)

    assert await client.read() == keys
    assert keys.leader is not None
    assert keys.synced is not None
    assert (keys.leader.node_id, keys.leader.address) == (A, "a:1")
    assert keys.leader.lease_id == lease_id
    assert keys.synced.nodes == (A,)
    assert keys.synced.epoch_base == 7


async def test_the_second_is_refused_and_told_who_was_first(client: EtcdClient) -> None:
    _, keys = await founded(client)
    assert keys.synced is not None
    lease_id, _ = await client.grant(5)

    done, seen = await client.take(OF_B, lease_id, keys.synced)

    assert (done, seen) == (False, keys)


async def test_the_list_changes_only_under_the_same_key_and_list(
    client: EtcdClient,
) -> None:
    _, keys = await founded(client)
    assert keys.leader is not None
    assert keys.synced is not None

    done, changed = await client.change(keys.leader, keys.synced, (A, B))
    again, _ = await client.change(keys.leader, keys.synced, (A,))

    assert (done, again) == (True, False)
    assert changed.synced is not None
    assert changed.synced.nodes == (A, B)
    assert changed.synced.epoch_base == 7


async def test_the_list_says_that_a_reign_ends_in_a_switchover(
    client: EtcdClient,
) -> None:
    _, keys = await founded(client)
    assert keys.leader is not None
    assert keys.synced is not None

    _, left = await client.change(keys.leader, keys.synced, (A, B), Epoch(12))
    assert left.synced is not None
    _, kept = await client.change(keys.leader, left.synced, (A, B))

    assert kept.synced is not None
    assert (left.synced.handed_over, kept.synced.handed_over) == (12, 0)


async def test_a_node_takes_itself_out_and_makes_older_requests_void(
    client: EtcdClient,
) -> None:
    await client.renounce(B)
    _, keys = await founded(client)
    assert keys.leader is not None
    assert keys.synced is not None

    await client.renounce(B)
    done, _ = await client.change(keys.leader, keys.synced, (A, B))

    assert not done
    with pytest.raises(EtcdError, match="a alone is known to hold"):
        await client.renounce(A)


async def test_a_lease_that_was_revoked_takes_the_key_with_it(
    client: EtcdClient,
) -> None:
    lease_id, keys = await founded(client)
    assert await client.renew(lease_id) == 5_000

    await client.revoke(lease_id)

    assert await client.read() == Keys(synced=keys.synced)
    assert await client.renew(lease_id) == 0
    with pytest.raises(EtcdError, match="lease not found"):
        await client.revoke(lease_id)


async def test_what_was_not_written_by_nexus_is_not_taken_for_it(
    etcd: Etcd,
) -> None:
    other = client_of(etcd, "/odd")
    await other._call(
        "/v3/kv/put",
        {"key": "L29kZC9zeW5jZWQ=", "value": "bm9uc2Vuc2U="},
        again=False,
    )

    with pytest.raises(EtcdError, match="/odd/synced was not written by Nexus"):
        await other.read()
    await other.close()


async def test_an_etcd_that_nobody_can_reach_is_told_as_such() -> None:
    settings = EtcdSettings(endpoints=(NOBODY,), prefix="/x", timeout_s=1.0)
    client = EtcdClient(settings)

    with pytest.raises(EtcdError, match="etcd did not do it: http://127"):
        await client.read()
    await client.close()


def scripted(*answers: httpx.Response | Exception, user: str = "") -> EtcdClient:
    """A client whose etcd answers like this, one after another."""
    script = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        found = script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    settings = EtcdSettings(
        endpoints=("https://one", "https://two"),
        prefix="/x",
        timeout_s=1.0,
        user=user,
        password="secret" if user else "",
    )
    return EtcdClient(settings, transport=httpx.MockTransport(answer))


async def test_a_change_without_an_answer_is_not_sent_again() -> None:
    taken = httpx.Response(200, json={"succeeded": True})
    client = scripted(httpx.ReadTimeout("late"), taken)

    with pytest.raises(EtcdError, match="late"):
        await client.take(OF_A, 1, SyncedKey(nodes=(A,)))


async def test_a_read_without_an_answer_is_asked_of_the_next_member() -> None:
    nothing = httpx.Response(200, json={})
    client = scripted(httpx.ReadTimeout(""), nothing, nothing)
    other = scripted(httpx.Response(503, text="no leader"), nothing)

    assert await client.read() == Keys()
    assert client._endpoints[0] == "https://two"
    assert await other.read() == Keys()


async def test_an_old_token_is_replaced_and_a_wrong_password_told() -> None:
    token = httpx.Response(200, json={"token": "t"})
    old = httpx.Response(401, json={"code": 16})
    client = scripted(token, old, token, httpx.Response(200, json={}), user="u")
    wrong = scripted(httpx.Response(400, text="invalid"), user="u")

    assert await client.read() == Keys()
    with pytest.raises(EtcdError, match=r"refuses replication.etcd_user 'u': invalid"):
        await wrong.read()


async def test_a_node_shows_its_certificate_to_an_etcd_that_asks(
    tmp_path: Path,
) -> None:
    theirs, ours = (Office.opened(tmp_path / name) for name in ("etcd", "nexus"))
    own = ours.client()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ours.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    server = theirs.node()
    context.load_cert_chain(str(server.cert), str(server.key))

    async def answer(reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            body = b'{"ID":"7","TTL":"5"}'
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
            to.write(head + body)
            await to.drain()
        to.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    stranger = EtcdSettings(
        endpoints=(f"https://127.0.0.1:{port}",),
        prefix="/p",
        timeout_s=60.0,
        ca_file=str(theirs.ca),
    )
    known = replace(stranger, cert_file=str(own.cert), key_file=str(own.key))
    async with listening:
        client = EtcdClient(known)
        assert await client.grant(5) == (7, 5_000)
        await client.close()
        client = EtcdClient(stranger)
        with pytest.raises(EtcdError):
            await client.grant(5)
        await client.close()
    with pytest.raises(ConfigurationError, match="name files in PEM"):
        EtcdClient(replace(known, cert_file=str(tmp_path / "none.pem")))
