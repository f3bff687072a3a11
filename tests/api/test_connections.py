import asyncio
import contextlib
import re
import socket

import pytest

from api.fake_master import OK, FakeMaster, listening, reply
from nexus.api.connections import (
    ConnectionLimits,
    Connections,
    LostError,
    Received,
    UnsentError,
)

HEAD = b"POST /sql HTTP/1.1\r\ncontent-length: %d\r\n\r\n"


async def ask(pool: Connections, master: FakeMaster, body: bytes = b"x") -> Received:
    return await pool.exchange(master.address, HEAD % len(body), body)


async def test_an_answer_is_whole_with_its_headers() -> None:
    async with listening(reply(b"abc", "201 Created", "X-Y: z")) as master:
        answer = await ask(Connections(), master)

    assert (answer.status, answer.body) == (201, b"abc")
    assert answer.headers == [(b"x-y", b"z"), (b"content-length", b"3")]


async def test_an_answer_may_be_chunked_and_announced() -> None:
    chunked = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    pool = Connections()
    async with listening(chunked) as master:
        answers = [await ask(pool, master) for _ in range(2)]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"abc")] * 2
    assert len(master.connections) == 1


async def test_a_large_body_arrives_as_it_is() -> None:
    body = bytes(range(256)) * 1024

    async with listening() as master:
        await ask(Connections(), master, body)

    assert master.requests[0][2] == body


async def test_each_connection_is_told_of_once() -> None:
    met: list[asyncio.WriteTransport] = []
    pool = Connections(met=met.append)
    async with listening() as master:
        await ask(pool, master)
        await ask(pool, master)

    assert [one.get_extra_info("peername") for one in met] == [master.address]


async def test_requests_at_once_have_a_connection_each() -> None:
    pool = Connections()
    async with listening() as master:
        await asyncio.gather(*(ask(pool, master) for _ in range(10)))
        await asyncio.gather(*(ask(pool, master) for _ in range(10)))

    assert (len(master.requests), len(master.connections)) == (20, 10)


async def test_connections_are_bounded_and_who_waits_too_long_has_sent_nothing() -> (
    None
):
    pool = Connections(ConnectionLimits(connections=1, connect_timeout_s=2.0))
    async with listening() as master:
        master.hold.clear()
        running = asyncio.create_task(ask(pool, master))
        await master.arrived.wait()
        with pytest.raises(UnsentError, match="1 writes are on their way"):
            await ask(pool, master)
        master.hold.set()
        await running

    assert len(master.requests) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "reset|closed"),
        (b"garbage\r\n\r\n", "HTTP"),
        (OK + OK, "two answers"),
    ],
)
async def test_after_a_bad_answer_its_connection_is_not_used_again(
    answer: bytes | None, why: str
) -> None:
    pool = Connections()
    async with listening(answer, OK) as master:
        if answer == OK + OK:
            assert (await ask(pool, master)).body == b"{}"
        else:
            with pytest.raises(LostError, match=why):
                await ask(pool, master)
        await ask(pool, master)

    assert len(master.connections) == 2


async def test_an_answer_that_ends_the_connection_is_the_last_on_it() -> None:
    pool = Connections()
    async with listening(reply(b"{}", "200 OK", "Connection: close"), OK) as master:
        await ask(pool, master)
        await ask(pool, master)

    assert len(master.connections) == 2


async def test_an_answer_that_nobody_asked_for_ends_the_connection() -> None:
    pool = Connections()
    async with listening() as master:
        await ask(pool, master)
        master.connections[0].write(OK)
        await asyncio.sleep(0.01)
        await ask(pool, master)

    assert len(master.connections) == 2


async def test_half_an_answer_is_lost() -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-1])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(die, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()[:2]
        with pytest.raises(LostError, match="closed"):
            await Connections().exchange(address, HEAD % 0, b"")


async def test_an_answer_that_cannot_come_any_more_is_not_waited_for() -> None:
    said = iter(["", "it stands still"])
    pool = Connections(ConnectionLimits(look_s=0.05), lambda: next(said))
    async with listening() as master:
        master.hold.clear()
        with pytest.raises(LostError, match="it stands still"):
            await ask(pool, master)
        master.hold.set()


async def test_an_answer_without_end_is_cut_off() -> None:
    async with listening(reply(b"x" * 2000)) as master:
        with pytest.raises(LostError, match="exceeds 1000 bytes"):
            await ask(Connections(ConnectionLimits(answer_bytes=1000)), master)


async def test_an_answer_that_takes_too_long_is_lost() -> None:
    pool = Connections(ConnectionLimits(answer_timeout_s=1.0))
    async with listening() as master:
        master.hold.clear()
        with pytest.raises(LostError, match=r"no answer in 1 s"):
            await ask(pool, master)
        master.hold.set()
        await ask(pool, master)

    assert len(master.connections) == 2


async def test_whoever_is_cancelled_leaves_no_connection_that_awaits_an_answer() -> (
    None
):
    pool = Connections()
    async with listening() as master:
        master.hold.clear()
        asking = asyncio.create_task(ask(pool, master))
        await master.arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        master.hold.set()
        await ask(pool, master)

    assert len(master.connections) == 2


async def test_a_connection_that_idled_is_replaced() -> None:
    pool = Connections(ConnectionLimits(idle_s=0.0))
    async with listening() as master:
        await ask(pool, master)
        await ask(pool, master)

    assert len(master.connections) == 2


async def test_a_closed_pool_holds_no_connection() -> None:
    pool = Connections()
    async with listening() as master:
        await ask(pool, master)
        pool.close()
        await ask(pool, master)

    assert len(master.connections) == 2


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70, "a..b"])
async def test_a_host_that_is_nowhere_has_got_nothing(host: str) -> None:
    with pytest.raises(UnsentError, match=re.compile(".")):
        await Connections().exchange((host, 7), HEAD % 0, b"")


async def test_a_connection_that_takes_too_long_has_sent_nothing() -> None:
    pool = Connections(ConnectionLimits(connect_timeout_s=0.1))
    with socket.socket() as full, contextlib.ExitStack() as others:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # more than wait to be accepted
            other = others.enter_context(socket.socket())
            other.settimeout(0)
            other.connect_ex(full.getsockname())
        with pytest.raises(UnsentError, match="no connection within"):
            await pool.exchange(full.getsockname(), HEAD % 0, b"")
