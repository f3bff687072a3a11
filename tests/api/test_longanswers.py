"""What another node answers, taken as it comes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from nexus.api.connections import ConnectionLimits, LostError
from nexus.api.longanswers import PIECE_BYTES, LongAnswer

HEAD = b"HTTP/1.1 200 OK\r\nX-Y: z\r\nTransfer-Encoding: chunked\r\n\r\n"
Closed = list[bool]


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@asynccontextmanager
async def answered(
    *pieces: bytes,
    limits: ConnectionLimits | None = None,
    gone: Callable[[], str] = lambda: "",
    ends: bool = True,
) -> AsyncIterator[tuple[LongAnswer, Closed]]:
    """An answer of a server that writes these pieces, and then closes, or waits."""
    over, closed = asyncio.Event(), Closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        with suppress(OSError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if not ends:
                await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        answer = LongAnswer(
            await asyncio.open_connection(
                *server.sockets[0].getsockname(), limit=PIECE_BYTES
            ),
            limits or ConnectionLimits(look_s=0.05),
            gone,
            lambda: closed.append(True),
        )
        yield answer, closed
    finally:
        over.set()
        server.close()


async def lines_of(answer: LongAnswer) -> list[bytes]:
    await answer.ask(b"GET / HTTP/1.1\r\n")
    return [some async for some in answer.lines()]


async def test_the_head_is_told_and_lines_are_whole_however_they_are_cut() -> None:
    body = chunks(b"one\ntw", b"o", b"\nthree\n") + b"0\r\n\r\n"
    announced = b"HTTP/1.1 100 Continue\r\n\r\n"
    async with answered(announced, HEAD, body) as (answer, closed):
        found = b"".join(await lines_of(answer))

    assert found == b"one\ntwo\nthree\n"
    assert (answer.status, answer.headers[0]) == (200, (b"x-y", b"z"))
    assert closed == [True]


async def test_what_a_broken_connection_leaves_of_a_line_is_none() -> None:
    async with answered(HEAD, chunks(b"one\ntw")) as (answer, closed):
        await answer.ask(b"GET / HTTP/1.1\r\n")
        lines = answer.lines()
        assert await anext(lines) == b"one\n"
        with pytest.raises(LostError, match="closed"):
            await anext(lines)

    assert closed == [True]


async def test_a_last_line_may_lack_its_end() -> None:
    async with answered(HEAD, chunks(b"a\nb") + b"0\r\n\r\n") as (answer, _):
        assert await lines_of(answer) == [b"a\n", b"b"]


async def test_who_reads_slowly_holds_the_sender_back() -> None:
    sent = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(HEAD)
        with suppress(OSError):
            while sent[0] < 256 << 20:
                writer.write(chunks(b"x" * 65535 + b"\n"))
                await writer.drain()
                sent[0] += 65536

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    streams = await asyncio.open_connection(
        *server.sockets[0].getsockname(), limit=PIECE_BYTES
    )
    answer = LongAnswer(streams, ConnectionLimits(), lambda: "", lambda: None)
    await answer.ask(b"GET / HTTP/1.1\r\n")
    lines = answer.lines()
    await anext(lines)
    before = -1
    while before != sent[0]:
        before = sent[0]
        await asyncio.sleep(0.2)

    assert sent[0] < 64 << 20
    await lines.aclose()
    server.close()


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ((b"garbage\r\n\r\n",), "no HTTP"),
        ((), "closed"),
        ((HEAD, chunks(b"x" * 200)), "exceeds 100 bytes"),
    ],
)
async def test_a_bad_answer_is_lost(pieces: tuple[bytes, ...], why: str) -> None:
    limits = ConnectionLimits(answer_bytes=100, look_s=0.05)
    async with answered(*pieces, limits=limits) as (answer, closed):
        with pytest.raises(LostError, match=why):
            await lines_of(answer)

    assert closed == [True]


async def test_a_whole_answer_is_bounded() -> None:
    limits = ConnectionLimits(answer_bytes=5)
    async with answered(HEAD, chunks(b"abcdef"), limits=limits) as (answer, _):
        await answer.ask(b"GET / HTTP/1.1\r\n")
        with pytest.raises(LostError, match="exceeds 5 bytes"):
            await answer.whole()


async def test_who_is_silent_is_given_up_once_it_is_known_to_be_gone() -> None:
    async with answered(HEAD, ends=False, gone=lambda: "it has gone") as (answer, _):
        with pytest.raises(LostError, match="it has gone"):
            await lines_of(answer)


async def test_who_is_silent_is_given_up_after_a_while() -> None:
    limits = ConnectionLimits(answer_timeout_s=0.2, look_s=0.05)
    async with answered(ends=False, limits=limits) as (answer, closed):
        with pytest.raises(LostError, match=r"no answer in 0\.2 s"):
            await lines_of(answer)

    assert closed == [True]


async def test_a_reset_is_a_loss() -> None:
    async with answered(HEAD, ends=False) as (answer, _):
        await answer.ask(b"GET / HTTP/1.1\r\n")
        answer._reader.set_exception(ConnectionResetError("reset"))
        with pytest.raises(LostError, match="reset"):
            await anext(answer.lines())
