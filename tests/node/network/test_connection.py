"""Tests for one TCP stream of messages."""

import asyncio

import pytest
import uvloop

from nexus.errors import ProtocolError
from nexus.node.network import connection as module
from nexus.node.network.connection import Connection
from nexus.protocol.codec import encode
from nexus.protocol.messages import Error, ErrorCode, Ping, Pong


async def pair() -> tuple[Connection, Connection, asyncio.Server]:
    """Both ends of one connection."""
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.put_nowait(Connection(reader, writer)),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    client = await Connection.open(f"127.0.0.1:{port}", timeout_s=60)
    return client, await accepted.get(), server


async def test_messages_arrive_in_the_order_in_which_they_were_sent() -> None:
    client, served, server = await pair()
    sent = [Ping(number) for number in range(3)]
    for message in sent:
        client.send(message)
    received = [await served.receive_one(timeout_s=60)]
    while len(received) < len(sent):
        received += await served.receive()

    assert received == sent
    await client.close()
    assert await served.receive() == []
    await served.close()
    server.close()


def test_what_is_sent_after_the_end_is_dropped_without_an_error() -> None:
    async def send_late() -> None:
        client, served, server = await pair()
        await client.close()
        assert await served.receive() == []
        await served.close()

        for connection in (client, served):
            connection.send(Pong(1))
            await connection.refuse(ErrorCode.STOPPING, "it has ended already")
        assert client.bytes_sent == 0
        server.close()

    uvloop.run(send_late())  # as nodes do: its streams raise where asyncio's warn


async def test_a_message_that_is_still_arriving_is_told_of() -> None:
    client, served, server = await pair()
    seen: list[int] = []
    come = asyncio.Event()

    def grows(size: int) -> None:
        seen.append(size)
        come.set()

    served.grows = grows
    frame = encode(Ping(7))
    reading = asyncio.create_task(served.receive())
    client.send_bytes(frame[:5])
    await asyncio.wait_for(come.wait(), 60)
    client.send_bytes(frame[5:])

    assert await reading == [Ping(7)]
    assert seen[0] == 5
    await client.close()
    await served.close()
    server.close()


async def test_a_refusal_is_read_before_the_connection_ends() -> None:
    client, served, server = await pair()
    await served.refuse(ErrorCode.BUSY, "later")

    assert await client.receive() == [Error(ErrorCode.BUSY, "later")]
    assert await client.receive() == []
    await client.close()
    server.close()


async def test_a_peer_that_does_not_read_makes_the_connection_congested() -> None:
    client, served, server = await pair()
    client.send(Ping(1))
    before = client.is_congested

    for _ in range(64):
        client.send_bytes(bytes(1 << 20))
        await asyncio.sleep(0)

    assert (before, client.is_congested) == (False, True)
    await asyncio.gather(client.close(), served.close())
    server.close()


async def test_silence_in_a_handshake_and_an_end_in_it_are_told_apart() -> None:
    client, served, server = await pair()
    with pytest.raises(TimeoutError):
        await served.receive_one(timeout_s=0.01)
    await client.close()
    with pytest.raises(ProtocolError, match="closed during the handshake"):
        await served.receive_one(timeout_s=60)
    await served.close()
    server.close()


@pytest.mark.parametrize("host", ["..", "x" * 64])
async def test_a_host_that_nobody_can_be_asked_for_is_one_that_does_not_answer(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "split_address", lambda _: (host, 1))
    with pytest.raises(OSError, match="is no host"):
        await Connection.open(f"{host}:1", timeout_s=60)
