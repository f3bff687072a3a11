"""Proof of the cluster secret, both ways, over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from nexus.errors import HandshakeRefusedError, NexusError, ProtocolError
from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position, Reign
from nexus.model.token import Token, TokenRole, sha256
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import (
    hello_proof,
    introduce,
    proven_welcome,
    receive_hello,
    welcome_proof,
)
from nexus.protocol.calls import Attach
from nexus.protocol.codec import HANDSHAKE_FRAME_BYTES, encode
from nexus.protocol.messages import (
    Challenge,
    Error,
    ErrorCode,
    Hello,
    Message,
    Ping,
    Plan,
    Welcome,
)
from nexus.protocol.proofs import TOKEN_FEATURE, token_proof
from node.builders import PATIENCE_S, knowing

CAFE = HistoryId("cafe")

HELLO = Hello(
    1,
    1,
    "cluster",
    EpochHistory((Reign(Epoch(3), CAFE, "m", Offset(1), 0, "start"),)),
    NodeId("replica"),
    "0.0.0.0:15475",
    "http://0.0.0.0:15474",
    Epoch(3),
    Position(Epoch(3), Offset(7), CAFE),
    master_addr="[::]:15475",
)

WELCOME = Welcome(
    NodeId("master"),
    "cluster",
    Epoch(3),
    Offset(9),
    Offset(8),
    4096,
    "UTF-8",
    Plan.STREAM,
    Offset(7),
    HELLO.history,
    http_url="http://[::]:15474",
)


@asynccontextmanager
async def two_ends() -> AsyncIterator[tuple[Connection, Connection]]:
    """Who introduces itself, and who hears it."""
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.put_nowait(Connection(reader, writer)),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    client = await Connection.open(f"127.0.0.1:{port}", timeout_s=PATIENCE_S)
    served = await accepted.get()
    try:
        yield client, served
    finally:
        await client.close()
        await served.close()
        server.close()


async def welcomed(
    client: Connection,
    served: Connection,
    *,
    secret: str = "",
    other_secret: str | None = None,
    welcome: Welcome = WELCOME,
) -> tuple[Any, Any]:
    """What each side made of the handshake: the Hello, the Welcome, or an error."""

    async def serve() -> Hello:
        known = secret if other_secret is None else other_secret
        greeting = await receive_hello(served, knowing(known), timeout_s=PATIENCE_S)
        hello = greeting.hello
        assert isinstance(hello, Hello)
        served.send(proven_welcome(welcome, known, hello.nonce, greeting.challenge))
        return hello

    async def serve_politely() -> Hello | NexusError:
        try:
            return await serve()
        except HandshakeRefusedError as error:
            await served.refuse(ErrorCode(error.reason), str(error))
            return error

    heard, told = await asyncio.gather(
        serve_politely(),
        introduce(client, HELLO, secret, timeout_s=PATIENCE_S),
        return_exceptions=True,
    )
    return heard, told


async def test_without_a_secret_both_sides_take_the_other_at_its_word() -> None:
    async with two_ends() as (client, served):
        hello, welcome = await welcomed(client, served)

    assert hello.node_id == "replica"
    assert welcome.master_id == "master"
    assert (hello.auth, welcome.auth) == (b"", b"")


async def test_with_the_same_secret_both_sides_prove_it() -> None:
    async with two_ends() as (client, served):
        hello, welcome = await welcomed(client, served, secret="shared")

    assert hello.auth
    assert welcome.auth
    assert welcome.current_offset == 9


async def test_addresses_of_every_interface_become_those_that_were_seen() -> None:
    async with two_ends() as (client, served):
        hello, welcome = await welcomed(client, served, secret="shared")

    assert hello.address == hello.master_addr == "127.0.0.1:15475"
    assert hello.http_url == "http://127.0.0.1:15474"
    assert welcome.http_url == "http://127.0.0.1:15474"


@pytest.mark.parametrize("known", ["wrong", ""])
async def test_who_does_not_know_the_secret_is_refused(known: str) -> None:
    async with two_ends() as (client, served):
        refused, answer = await welcomed(
            client, served, secret=known, other_secret="right"
        )
        refuses_at = client.peer_address

    assert isinstance(refused, HandshakeRefusedError)
    assert refused.reason == ErrorCode.UNAUTHORISED
    # The refused one reads this too, and knows itself by no port of this connection.
    assert f"NEXUS_CLUSTER_SECRET as the one at {refuses_at}" in str(refused)
    assert isinstance(answer, Error)
    assert answer.code == ErrorCode.UNAUTHORISED


async def test_a_master_without_the_secret_is_not_believed() -> None:
    async with two_ends() as (client, served):
        _, refused = await welcomed(client, served, secret="right", other_secret="")

    assert isinstance(refused, HandshakeRefusedError)
    assert "give both nodes the same NEXUS_CLUSTER_SECRET" in str(refused)
    assert refused.reason == ErrorCode.UNAUTHORISED


async def test_a_recorded_exchange_opens_no_door_a_second_time() -> None:
    nonce = b"n" * 16
    recorded = msgspec.structs.replace(HELLO, nonce=b"own")
    recorded = msgspec.structs.replace(
        recorded, auth=hello_proof("right", nonce, recorded)
    )
    async with two_ends() as (client, served):
        serving = asyncio.create_task(
            receive_hello(served, knowing("right"), timeout_s=PATIENCE_S)
        )
        client.send(recorded)
        challenge = await client.receive_one(timeout_s=PATIENCE_S)
        assert isinstance(challenge, Challenge)
        assert challenge.nonce != nonce
        client.send(recorded)
        with pytest.raises(HandshakeRefusedError):
            await serving


async def test_a_client_is_to_come_again_while_its_token_is_in_doubt() -> None:
    token = Token("0123456789", "shop", TokenRole.WRITE, sha256(b"s" * 32), 1)
    doubting = knowing("", token)
    doubting.in_doubt = lambda: True
    attach = Attach(1, 1, "app", features=(TOKEN_FEATURE + token.id,), nonce=b"n")
    async with two_ends() as (client, served):
        serving = asyncio.create_task(
            receive_hello(served, doubting, timeout_s=PATIENCE_S)
        )
        client.send(attach)
        challenge = await client.receive_one(timeout_s=PATIENCE_S)
        assert isinstance(challenge, Challenge)
        proof = token_proof(b"s" * 32, challenge.nonce, attach)
        client.send(msgspec.structs.replace(attach, auth=proof))
        with pytest.raises(HandshakeRefusedError) as refused:
            await serving

    assert refused.value.reason == ErrorCode.BUSY


async def test_a_recorded_welcome_convinces_no_replica() -> None:
    recorded = msgspec.structs.replace(
        WELCOME, auth=welcome_proof("right", b"old", b"n" * 16, WELCOME)
    )
    async with two_ends() as (client, served):
        introducing = asyncio.create_task(
            introduce(client, HELLO, "right", timeout_s=PATIENCE_S)
        )
        await served.receive_one(timeout_s=PATIENCE_S)
        served.send(Challenge(b"n" * 16))
        await served.receive_one(timeout_s=PATIENCE_S)
        served.send(recorded)
        with pytest.raises(HandshakeRefusedError):
            await introducing


OTHERS: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: not value,
    int: lambda value: value + 1,
    bytes: lambda value: value + b"x",
    str: lambda value: value + "x",
    Plan: lambda _: Plan.FULL_SYNC,
    tuple: lambda value: (*value, "x"),
    Position: lambda value: msgspec.structs.replace(value, offset=value.offset + 1),
    EpochHistory: lambda _: EpochHistory(),
}


def other(value: Any) -> Any:
    """A value of the same kind that is not the same."""
    return OTHERS[type(value)](value)


@pytest.mark.parametrize("field", [f for f in Hello.__struct_fields__ if f != "auth"])
def test_every_field_of_a_hello_is_covered_by_its_proof(field: str) -> None:
    changed = msgspec.structs.replace(HELLO, **{field: other(getattr(HELLO, field))})

    assert hello_proof("s", b"n", changed) != hello_proof("s", b"n", HELLO)
    assert hello_proof("s", b"m", HELLO) != hello_proof("s", b"n", HELLO)


@pytest.mark.parametrize("field", [f for f in Welcome.__struct_fields__ if f != "auth"])
def test_every_field_of_a_welcome_is_covered_by_its_proof(field: str) -> None:
    changed = msgspec.structs.replace(
        WELCOME, **{field: other(getattr(WELCOME, field))}
    )
    proof = welcome_proof("s", b"h", b"c", WELCOME)

    assert welcome_proof("s", b"h", b"c", changed) != proof
    assert welcome_proof("s", b"g", b"c", WELCOME) != proof
    assert welcome_proof("s", b"h", b"d", WELCOME) != proof


def long_history(count: int = 5_000) -> EpochHistory:
    """More reigns than a frame of a handshake has room for."""
    return EpochHistory(
        tuple(
            Reign(Epoch(n), HistoryId(f"{n:016x}"), "master", Offset(n), 0, "start")
            for n in range(1, count)
        )
    )


async def test_an_oversized_history_is_told_from_its_end_as_far_as_it_fits() -> None:
    history = long_history()
    hello = msgspec.structs.replace(HELLO, history=history)
    welcome = msgspec.structs.replace(WELCOME, history=history)
    assert len(msgspec.msgpack.encode(hello)) > HANDSHAKE_FRAME_BYTES

    async with two_ends() as (client, served):
        introducing = asyncio.create_task(
            introduce(client, hello, "s", timeout_s=PATIENCE_S)
        )
        greeting = await receive_hello(served, knowing("s"), timeout_s=PATIENCE_S)
        heard = greeting.hello
        assert isinstance(heard, Hello)
        proven = proven_welcome(welcome, "s", heard.nonce, greeting.challenge)
        served.send(proven)
        told = await introducing

    assert isinstance(told, Welcome)
    assert len(encode(proven)) <= HANDSHAKE_FRAME_BYTES
    assert heard.history.reigns == history.reigns[-len(heard.history.reigns) :]
    assert told.history.reigns == history.reigns[-len(told.history.reigns) :]
    assert len(heard.history.reigns) > 500


@pytest.mark.parametrize("first", [Ping(1), Error(ErrorCode.BUSY, "no")])
async def test_who_does_not_begin_with_a_hello_is_refused(first: Message) -> None:
    async with two_ends() as (client, served):
        client.send(first)
        with pytest.raises(HandshakeRefusedError, match="where a Hello is expected"):
            await receive_hello(served, knowing(), timeout_s=PATIENCE_S)


async def test_an_answer_that_is_no_answer_is_refused() -> None:
    async with two_ends() as (client, served):
        served.send(Ping(1))
        with pytest.raises(HandshakeRefusedError, match="answered Hello with Ping"):
            await introduce(client, HELLO, "", timeout_s=PATIENCE_S)


async def test_a_stranger_gets_no_memory_for_a_large_frame() -> None:
    async with two_ends() as (client, served):
        client.send_bytes(b"\x01" + (1 << 20).to_bytes(4, "little"))
        with pytest.raises(ProtocolError, match="over the limit"):
            await receive_hello(served, knowing(), timeout_s=PATIENCE_S)


async def test_what_follows_the_welcome_in_its_packet_is_kept() -> None:
    async with two_ends() as (client, served):
        served.send_bytes(encode(WELCOME) + encode(Ping(7)))
        answer = await introduce(client, HELLO, "", timeout_s=PATIENCE_S)

        assert isinstance(answer, Welcome)
        assert await client.receive() == [Ping(7)]
