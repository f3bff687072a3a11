"""What another node answers, piece by piece, at the pace of whoever reads it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import httptools

from nexus.api.connections import (
    FIRST_FINAL_STATUS,
    ConnectionLimits,
    Gone,
    Headers,
    LostError,
)
from nexus.node.network.aborting import cut_off

PIECE_BYTES: Final = 64 << 10
"""Of one read; the stream itself holds twice as much before it reads no more."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LongAnswer:
    """The answer to one request, on a connection of its own, which ends with it."""

    def __init__(
        self,
        streams: Streams,
        limits: ConnectionLimits,
        gone: Gone,
        closed: Callable[[], None],
    ) -> None:
        """`closed` is called once, when it is over."""
        self.status = 0
        self.headers: Headers = []
        """Their names are in lower case."""
        self._reader, self._writer = streams
        self._limits = limits
        self._gone = gone
        self._closed = closed
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._has_head = False
        self._is_complete = False

    async def ask(self, request: bytes) -> None:
        """Send the request and wait for the head of the answer; raises LostError."""
        try:
            self._writer.write(request)
            while not self._has_head:
                await self._receive()
        except BaseException:
            self.close()
            raise

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body as it comes; raises LostError where it breaks off."""
        try:
            while True:
                if self._pieces:
                    found, self._pieces = b"".join(self._pieces), []
                    yield found
                if self._is_complete:
                    return
                await self._receive()
        finally:
            self.close()

    async def lines(self) -> AsyncGenerator[bytes]:
        """The body's whole lines, as many as have come; raises LostError.

        What a broken connection leaves of the last one is none.
        """
        rest = b""
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                whole, newline, last = piece.rpartition(b"\n")
                if newline:
                    yield rest + whole + newline
                    rest = last
                else:
                    rest += piece
                    self._bound(len(rest))
        if rest:
            yield rest

    async def whole(self) -> bytes:
        """The whole body; raises LostError."""
        found = bytearray()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                found += piece
                self._bound(len(found))
        return bytes(found)

    def close(self) -> None:
        """Read no more."""
        cut_off(self._writer.transport)
        closed, self._closed = self._closed, lambda: None
        closed()

    def _bound(self, held_bytes: int) -> None:
        if held_bytes > self._limits.answer_bytes:
            raise LostError(f"the answer exceeds {self._limits.answer_bytes} bytes")

    async def _receive(self) -> None:
        try:
            data = await self._read()
            if not data:
                raise LostError("the connection was closed")
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise LostError(f"the answer is no HTTP: {error}") from None
        except OSError as error:
            raise LostError(str(error)) from None

    async def _read(self) -> bytes:
        """What comes next; gives up on who is gone, or silent for too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.answer_timeout_s
        while True:
            try:
                async with asyncio.timeout(self._limits.look_s):
                    return await self._reader.read(PIECE_BYTES)
            except TimeoutError:
                if loop.time() >= deadline:
                    timeout_s = self._limits.answer_timeout_s
                    raise LostError(f"no answer in {timeout_s:g} s") from None
                if why := self._gone():
                    raise LostError(why) from None

    # --- What the parser calls --------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of an answer, or of what announces one."""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The body follows."""
        self.status = self._parser.get_status_code()
        self._has_head = self.status >= FIRST_FINAL_STATUS

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The last byte."""
        self._is_complete = self._has_head
