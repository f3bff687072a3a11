"""One port for every database of a process: each visitor comes to the one it means."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from nexus.config import split_address
from nexus.errors import ConfigurationError
from nexus.node.network.connection import Connection
from nexus.node.network.port import MAIN, Port, Serve, Visitor
from nexus.node.network.security import TransportSecurity
from nexus.protocol.databases import features_for
from nexus.protocol.messages import Error, ErrorCode, Message, Ping
from node.builders import PATIENCE_S, knowing
from node.test_publisher import HELLO


@asynccontextmanager
async def open_port(*named: str) -> AsyncIterator[Port]:
    port = Port(TransportSecurity(), knowing(), timeout_s=PATIENCE_S, named=named)
    await port.start("127.0.0.1:0")
    try:
        yield port
    finally:
        await port.stop()


def greeter(number: int) -> Serve:
    """Answers each visitor with this number."""

    async def serve(visitor: Visitor) -> None:
        visitor.connection.send(Ping(number))

    return serve


async def answer(port: Port, database: str = MAIN) -> Message:
    connection = await Connection.open(port.address, timeout_s=PATIENCE_S)
    try:
        connection.send(replace(HELLO, features=features_for(database)))
        return await connection.receive_one(timeout_s=PATIENCE_S)
    finally:
        await connection.close()


async def test_each_visitor_is_served_by_the_database_that_it_names() -> None:
    async with open_port() as port:
        for number, name in enumerate((MAIN, "orders", "users")):
            port.open_to(name, greeter(number))

        answers = [await answer(port, name) for name in ("users", MAIN, "orders")]

    assert answers == [Ping(2), Ping(0), Ping(1)]


async def test_a_name_that_nobody_has_is_refused_with_those_that_there_are() -> None:
    async with open_port("orders") as port:
        port.open_to(MAIN, greeter(0))
        port.open_to("orders", greeter(1))

        refusal = await answer(port, "order")

    assert isinstance(refusal, Error)
    assert refusal.code == ErrorCode.UNKNOWN_DATABASE
    assert "no database 'order'" in refusal.message
    assert "(named ones: orders)" in refusal.message
    assert port.rejections.total() == 1


@pytest.mark.parametrize(
    ("name", "told"), [(MAIN, "this node"), ("orders", "database 'orders'")]
)
async def test_who_comes_before_a_database_is_open_is_not_refused_for_good(
    name: str, told: str
) -> None:
    async with open_port("orders") as port:
        early = await answer(port, name)
        port.open_to(name, greeter(1))
        served = await answer(port, name)

    assert isinstance(early, Error)
    assert early.code == ErrorCode.STOPPING
    assert told in early.message
    assert served == Ping(1)
    assert port.rejections.total() == 0


async def test_a_database_that_is_closed_turns_visitors_away_and_no_other_does() -> (
    None
):
    async with open_port() as port:
        port.open_to(MAIN, greeter(0))
        port.open_to("orders", greeter(1))
        port.close_to(MAIN)

        refusal, served = await answer(port), await answer(port, "orders")

    assert isinstance(refusal, Error)
    assert refusal.code == ErrorCode.STOPPING
    assert served == Ping(1)


async def test_a_port_that_is_taken_is_told_with_its_address() -> None:
    async with open_port() as port:
        other = Port(TransportSecurity(), knowing(), timeout_s=PATIENCE_S)

        with pytest.raises(ConfigurationError, match=f"{port.address} cannot be used"):
            await other.start(port.address)
        await other.stop()


async def test_a_stop_sees_off_who_is_there() -> None:
    served = asyncio.Event()

    async def serve(_: Visitor) -> None:
        served.set()
        await asyncio.Event().wait()

    async with open_port() as port:
        port.open_to(MAIN, serve)
        connection = await Connection.open(port.address, timeout_s=PATIENCE_S)
        connection.send(HELLO)
        async with asyncio.timeout(PATIENCE_S):
            await served.wait()

    assert await connection.receive() == []
    await connection.close()


async def last_word(peer: socket.socket) -> bytes:
    """What comes before the connection ends."""
    try:
        return await asyncio.get_running_loop().sock_recv(peer, 1)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("turns", range(8))
async def test_whoever_comes_while_the_port_stops_is_cut_off(turns: int) -> None:
    port = Port(TransportSecurity(), knowing(), timeout_s=PATIENCE_S)
    await port.start("127.0.0.1:0")
    with socket.create_connection(split_address(port.address)) as late:
        late.settimeout(0)
        for _ in range(turns):
            await asyncio.sleep(0)

        await port.stop()

        async with asyncio.timeout(PATIENCE_S):
            assert await last_word(late) == b""
