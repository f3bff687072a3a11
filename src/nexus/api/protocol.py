"""HTTP on a socket: uvicorn's protocol, with bounds on what a stranger can hold."""

import asyncio
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nexus.api.corking import CorkedTransport

MOST_CONNECTIONS: Final = 2048
"""Each costs a descriptor and a buffer; a process often has 4096 descriptors."""

HEAD_LIMIT: Final = 64 << 10
"""Bytes of request line and headers, beyond the first piece that the kernel gave."""

MOST_HEADERS: Final = 256

HEAD_TIMEOUT_S: Final = 10.0
"""A head that takes longer is a stranger who holds a connection."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. The head is bounded in bytes, headers and time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CorkedTransport(transport, self.loop))
        if len(self.connections) > MOST_CONNECTIONS:
            self.transport.close()
            return
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._close_late)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        if not self._in_head:
            return
        if was_in_head:
            self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT:
            self.transport.close()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._close_late)

    @override
    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, after the head; they are bounded in the same way.
        if len(self.headers) >= MOST_HEADERS:
            raise ValueError(f"more than {MOST_HEADERS} headers")
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._stop_head_timer()
        super().on_headers_complete()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close_late(self) -> None:
        self._head_timer = None
        self.transport.close()
