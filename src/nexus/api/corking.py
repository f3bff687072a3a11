"""A transport that joins what is written in one turn of the event loop.

A response is written as head and body. Each write is a system call, and a packet that
wakes the client: for a small answer they cost more than all the rest of the request.
"""

import asyncio
from typing import Any, Final

from typing_extensions import override

HELD_LIMIT: Final = 64 << 10
"""Bytes that are held at most; beyond, joining saves nothing."""


class CorkedTransport(asyncio.Transport):
    """Holds writes until the loop's next turn, then makes them one."""

    __slots__ = ("_held", "_held_bytes", "_loop", "_transport")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: list[bytes | bytearray | memoryview] = []
        self._held_bytes = 0

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_LIMIT:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()
            self._held_bytes = 0

    @override
    def close(self) -> None:
        self._flush()
        self._transport.close()

    @override
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    @override
    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    @override
    def abort(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        self._transport.abort()

    @override
    def get_write_buffer_size(self) -> int:
        return self._held_bytes + self._transport.get_write_buffer_size()

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    @override
    def pause_reading(self) -> None:
        self._transport.pause_reading()

    @override
    def resume_reading(self) -> None:
        self._transport.resume_reading()
