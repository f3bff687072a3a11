"""Answers of no known length for callers of HTTP/1.0, who know no chunks.

The end of such a body is the end of the connection, which these callers do not keep.
"""

import asyncio
import socket
import struct
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

OLD: Final = "1.0"
"""A version of HTTP; the next one has chunks."""

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: nothing is sent on, and the other side sees a reset."""


def ended_by_closing(application: ASGIApp, cycle: RequestResponseCycle) -> ASGIApp:
    """The application, for the one answer of this cycle."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        has_length = True

        async def sent(message: Message) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", ())}
                has_length = b"content-length" in names
                if not has_length:
                    cycle.chunked_encoding = False
            elif not has_length:
                # The cycle counts what is left of the body's length.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await application(scope, receive, sent)
        except BaseException:
            if not has_length:
                _reset(cycle.transport)
            raise

    return answered


def _reset(transport: asyncio.Transport) -> None:
    """End the connection as a failure: an orderly end would say that it was all."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
