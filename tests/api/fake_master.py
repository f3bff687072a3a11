"""A master's port that answers just the bytes that a test has told it to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Reply = bytes | None
"""None: reset the connection instead of answering."""


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An answer with this body."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


OK = reply(b"{}")


@dataclass
class FakeMaster:
    """Answers with `replies` in turn, then with the last one for ever."""

    replies: list[Reply] = field(default_factory=lambda: [OK])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    """The first line, the headers and the body of each."""
    connections: list[asyncio.StreamWriter] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait until it is set, as it is at first."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections.append(writer)
        try:
            while True:
                await self.answer_one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def answer_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head[1:-2])
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0], headers, body))
        self.arrived.set()
        await self.hold.wait()
        told = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if told is None:
            writer.transport.abort()
            raise ConnectionResetError
        writer.write(told)
        await writer.drain()


@asynccontextmanager
async def listening(*replies: Reply) -> AsyncIterator[FakeMaster]:
    """A fake master on a port of its own."""
    master = FakeMaster(list(replies) or [OK])
    master.hold.set()
    server = await asyncio.start_server(master.serve, "127.0.0.1", 0)
    master.port = server.sockets[0].getsockname()[1]
    try:
        yield master
    finally:
        server.close()
        master.hold.set()
        for connection in master.connections:
            connection.transport.abort()
        await server.wait_closed()
        for _ in range(3):  # until both ends have seen it
            await asyncio.sleep(0)
