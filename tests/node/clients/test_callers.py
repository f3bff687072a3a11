"""Clients at the port: who is let in, who is not, and how all of them leave."""

import secrets
from typing import Any

import pytest
from msgspec.structs import replace

from nexus.model.position import Offset
from nexus.model.token import TokenRole
from nexus.node.clients import callers
from nexus.protocol.calls import (
    Attached,
    Done,
    Execute,
    Failed,
    Fetch,
    Query,
    Rows,
)
from nexus.protocol.codec import HANDSHAKE_FRAME_BYTES, OVERHEAD, encode
from nexus.protocol.messages import Challenge, Error, ErrorCode
from nexus.protocol.proofs import attach_proof, attached_proof
from node.builders import Crowd, address_of, run, until
from node.calling import ATTACH, Client, attached, connected

SECRET = "right"


async def refused(client: Client) -> str:
    """Why the node closes the connection."""
    error = await client.expect(Error)
    assert await client.next() is None
    return f"{error.code}: {error.message}"


async def test_a_client_is_told_where_it_is(crowd: Crowd) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(v)")
    replica = await crowd.replica("replica", master)

    async with connected(master) as client:
        client.say(ATTACH)
        told = await client.expect(Attached)
    async with connected(replica) as client:
        client.say(ATTACH)
        elsewhere = await client.expect(Attached)

    status = master.status()
    assert told.role == "master"
    assert (told.node_id, told.cluster_id) == (status.node_id, status.cluster_id)
    assert told.master_addr == elsewhere.master_addr == address_of(master)
    assert told.applied_offset == status.applied_offset
    assert told.idle_limit_ms == 5000
    assert elsewhere.role == "replica"
    assert elsewhere.node_id == replica.node_id


async def test_who_proves_the_secret_is_let_in_and_given_a_proof(crowd: Crowd) -> None:
    node = await crowd.node("node", cluster_secret=SECRET)
    attach = replace(ATTACH, nonce=secrets.token_bytes(16))

    async with connected(node) as client:
        client.say(attach)
        nonce = (await client.expect(Challenge)).nonce
        client.say(replace(attach, auth=attach_proof(SECRET, nonce, attach)))
        told = await client.expect(Attached)

        assert told.auth == attached_proof(SECRET.encode(), attach.nonce, nonce, told)
        assert await client.rows(1, "select 1") == [(1,)]


async def test_who_does_not_know_the_secret_is_refused(crowd: Crowd) -> None:
    node = await crowd.node("node", cluster_secret=SECRET)

    async with connected(node) as client:
        client.say(ATTACH)
        nonce = (await client.expect(Challenge)).nonce
        client.say(replace(ATTACH, auth=attach_proof("wrong", nonce, ATTACH)))
        reason = await refused(client)

    assert reason.startswith("unauthorised: ")


@pytest.mark.parametrize(
    ("attach", "code"),
    [
        (replace(ATTACH, calls_least=2, calls_most=3), ErrorCode.VERSION),
        (replace(ATTACH, cluster_id="another"), ErrorCode.CLUSTER),
    ],
    ids=["newer", "of another cluster"],
)
async def test_who_cannot_be_served_is_told_why(
    crowd: Crowd, attach: object, code: ErrorCode
) -> None:
    node = await crowd.node("node")

    async with connected(node) as client:
        client.say(attach)  # type: ignore[arg-type]
        assert (await refused(client)).startswith(f"{code}: ")


async def test_a_client_that_does_not_wait_for_its_answer_is_refused(
    crowd: Crowd,
) -> None:
    node = await crowd.node("node")

    async with connected(node) as client:
        client.say(ATTACH, Fetch(1))
        assert "did not wait" in await refused(client)


async def test_who_says_nothing_is_seen_off_when_tokens_are_asked_for(
    crowd: Crowd,
) -> None:
    node = await crowd.node("node")

    async with attached(node) as client:
        await node.tokens.create(TokenRole.ADMIN, "first", lasts_s=0)

        assert "the token was revoked" in await refused(client)


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
async def test_there_is_a_most_of_clients(crowd: Crowd, limit: str) -> None:
    limits: dict[str, Any] = {f"limits__{limit}": 1}
    node = await crowd.node("node", **limits)

    async with attached(node), connected(node) as second:
        second.say(ATTACH)
        assert (await refused(second)).startswith("busy: ")
    await until(lambda: not node._callers.count)
    async with attached(node) as third:
        assert await third.rows(1, "select 1") == [(1,)]


async def test_a_node_that_stops_says_so_to_its_clients(crowd: Crowd) -> None:
    node = await crowd.node("node")

    async with attached(node) as client:
        await client.begin(1)
        await node.stop()
        assert (await client.expect(Error)).code == ErrorCode.STOPPING


async def test_queries_that_rest_are_bounded_and_the_oldest_gives_way(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "RESTING_READERS", 2)
    node = await crowd.node("node", limits__idle_transaction_ms=60_000)
    three = "values (1), (2), (3)"

    async with attached(node) as client:
        for number in (1, 2, 3):
            client.ask(number, three, fetch_rows=1)
            await client.expect(Rows)
        failed = await client.expect(Failed)
        client.say(Fetch(2))
        rest = await client.expect(Rows)
        await client.expect(Done)

    assert (failed.request_id, failed.code) == (1, "transaction_expired")
    assert "read them anew" in failed.message
    assert rest.rows == [(2,), (3,)]


async def test_rows_that_nobody_asks_for_are_dropped(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "REST_LIMIT_S", 0.05)
    node = await crowd.node("node")

    async with attached(node) as client:
        client.ask(1, "values (1), (2)", fetch_rows=1)
        await client.expect(Rows)
        failed = await client.expect(Failed)

        assert "not asked for within 0.05 s" in failed.message
        assert await client.rows(2, "select 1") == [(1,)]


async def test_a_query_waits_for_the_entry_that_it_must_see(crowd: Crowd) -> None:
    node = await crowd.node("node", limits__idle_transaction_ms=50)
    await run(node, "create table t(v)")

    async with attached(node) as client:
        failed = await client.failed(1, "select 1", min_offset=Offset(1 << 40))
        reached = await client.rows(2, "select 1", min_offset=Offset(2))

    assert failed.code == "not_applied"
    assert reached == [(1,)]


async def test_a_strong_query_is_answered_by_a_node_that_stands_alone(
    crowd: Crowd,
) -> None:
    node = await crowd.node("node", "standalone")

    async with attached(node) as client:
        assert await client.rows(1, "select 1", strong=True) == [(1,)]


async def test_a_client_that_asks_too_often_is_told_so_and_nothing_happens(
    crowd: Crowd,
) -> None:
    node = await crowd.node("node", limits__requests_per_second=1)
    async with attached(node) as client:
        client.ask(1, "create table t(v)")
        client.ask(2, "create table u(v)")
        assert (await client.expect(Failed)).code == "rate_limited"
        assert (await client.expect(Done)).request_id == 1


async def test_a_request_has_a_most_of_statements(crowd: Crowd) -> None:
    node = await crowd.node("node", limits__statements=2)
    async with attached(node) as client:
        client.say(Execute(1, (Query("select 1"),) * 3))
        failed = await client.expect(Failed)
    assert failed.code == "bad_request"
    assert "3 statements are more than 2" in failed.message


@pytest.mark.parametrize(("more", "served"), [(0, True), (1, False)])
async def test_a_greeting_may_be_as_long_as_a_strangers_frame_and_not_a_byte_more(
    crowd: Crowd, more: int, *, served: bool
) -> None:
    node = await crowd.node("node")
    rest = len(encode(replace(ATTACH, client="x" * 60_000))) - 60_000
    greeting = replace(ATTACH, client="x" * (HANDSHAKE_FRAME_BYTES - rest))
    frame = bytearray(encode(greeting))
    assert len(frame) == HANDSHAKE_FRAME_BYTES
    if more:
        frame[1:5] = (len(frame) - OVERHEAD + 1).to_bytes(4, "little")

    async with connected(node) as client:
        client.connection.send_bytes(bytes(frame))
        answer = await client.next()

    assert isinstance(answer, Attached if served else Error)
