"""HTTP on a socket: uvicorn's protocol, with bounds on what a stranger can hold."""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nexus.api.corking import CorkedTransport


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a stranger can hold, and for how long."""

    connections: int = 2048
    """Each costs a descriptor and a buffer; a process often has 4096 descriptors."""
    head_bytes: int = 64 << 10
    """Request line and headers, beyond the first piece that the kernel gave."""
    headers: int = 256
    head_timeout_s: float = 10.0
    """A head that takes longer is a stranger who holds a connection."""
    keep_alive_s: int = 75
    """Longer than clients keep idle connections: they close first, not in a write."""
    grace_s: int = 3
    """At the stop: requests that are still running then are cancelled."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. The head is bounded in bytes, headers and time."""

    limits: ClassVar[HttpLimits] = HttpLimits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CorkedTransport(transport, self.loop))
        if len(self.connections) > self.limits.connections:
            self.transport.close()
            return
        self._head_timer = self.loop.call_later(
            self.limits.head_timeout_s, self._close_late
        )

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
        if self._head_bytes > self.limits.head_bytes:
            self.transport.close()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(
                self.limits.head_timeout_s, self._close_late
            )

    @override
    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, after the head; they are bounded in the same way.
        if len(self.headers) >= self.limits.headers:
            raise ValueError(f"more than {self.limits.headers} headers")
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._stop_head_timer()
        super().on_headers_complete()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(
            self.limits.head_timeout_s, self._close_late
        )

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close_late(self) -> None:
        self._head_timer = None
        self.transport.close()
