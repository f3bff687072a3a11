"""HTTP on a socket: uvicorn's protocol, with bounds on what a stranger can hold.

What is no request is refused as a problem, like all else, and only after the answers to
the requests that came before it on the same connection: whoever got a refusal for a
write that runs would think that nothing had happened.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from nexus.api.bodies import BODY_LIMIT
from nexus.api.corking import CorkedTransport
from nexus.api.crowd import Crowd
from nexus.api.oldcallers import OLD, ended_by_closing
from nexus.api.problems import problem_response
from nexus.api.refusals import (
    BodyTooSlowError,
    CrowdedError,
    HeadTooLargeError,
    HeadTooSlowError,
    NotHttpError,
)
from nexus.api.strangers import told_of
from nexus.errors import NexusError

LINGER_S: Final = 1.0
"""What is sent on after a refusal is read and dropped for so long: closed at once, the
connection would be reset, and the refusal lost on its way."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a stranger can hold, and for how long."""

    connections: int = 2048
    """Each costs a descriptor and a buffer."""
    connections_of_address: int = 0
    """0: as many as there may be in all."""
    head_bytes: int = 64 << 10
    """Request line and headers, beyond the first piece that the kernel gave."""
    headers: int = 256
    head_timeout_s: float = 10.0
    """A head that takes longer is a stranger who holds a connection."""
    body_timeout_s: float = 60.0
    """A body that takes longer is given up: it holds memory."""
    read_timeout_s: float = 60.0
    """A caller who takes nothing of an answer for so long holds its memory."""
    keep_alive_s: int = 75
    """Longer than clients keep idle connections: they close first, not in a write."""
    message_bytes: int = BODY_LIMIT
    """One message over a WebSocket."""
    ping_s: float = 20.0
    """Between two pings over a WebSocket, and for the answer to one."""
    grace_s: int = 3
    """At the stop: requests that are still running then are cancelled."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection: the head is bounded in bytes and headers, all in time."""

    limits: ClassVar[HttpLimits] = HttpLimits()
    crowd: ClassVar[Crowd] = Crowd(most=HttpLimits().connections)
    native_port: ClassVar[int] = 0
    """Where the node speaks its own protocol; 0: not told."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        """Of a head, of a body, or of a connection that lingers."""
        self._reader_timer: asyncio.TimerHandle | None = None
        self._unread_bytes = 0
        """Of the answer, when the caller was last looked at."""
        self._asks_for_upgrade = False
        self._address = ""
        self._owed = 0
        """Requests whose answers are not complete yet."""
        self._refusal: NexusError | None = None
        self._has_ended = False
        """Whether the caller has shut its sending side down, and waits for answers."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CorkedTransport(transport, self.loop))
        self._address = str(self.client[0]) if self.client else ""
        refusal = self.crowd.enter(self, self._address, len(self.connections))
        if refusal:
            self.transport.write(refusal_bytes(CrowdedError(refusal)))
            self.transport.close()
            return
        self._start_timer(self.limits.head_timeout_s)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leave(self, self._address)
        self._stop_timer()
        self._stop_reader_timer()
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer: a head may have begun."""
        return not (self._owed or self._in_body)

    def give_way(self) -> None:
        """Close it."""
        self.transport.close()

    @override
    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        was_in_head = self._in_head
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._in_head:
            self._bound_head(len(data) if was_in_head else 0)
        elif self._in_body and self._timer is None:
            self._start_timer(self.limits.body_timeout_s)

    @override
    def eof_received(self) -> bool:  # type: ignore[override]  # True: stay open
        """Whoever sends a whole request and then no more still gets its answer.

        Not the rest of a stream, which has no end: that caller has mostly gone.
        """
        self._has_ended = True
        partial = self._in_head or self._in_body
        if partial or not self._owed or self.cycle.chunked_encoding:
            self.transport.close()  # what was written leaves before
        return True

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["http_version"] == OLD:
            app = ended_by_closing(app, cycle)
        super()._start_asgi_task(cycle, app)

    def _bound_head(self, more_bytes: int) -> None:
        self._head_bytes += more_bytes
        if self._head_bytes > self.limits.head_bytes:
            self._refuse(
                HeadTooLargeError(
                    f"the head has more than {self.limits.head_bytes} bytes"
                )
            )
        elif self._timer is None:
            self._start_timer(self.limits.head_timeout_s)

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.crowd.leave(self, self._address)
                    self.handle_websocket_upgrade()
                    return
                data = self._without_upgrade() + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse(told_of(error, data, self.native_port))
                return
            else:
                return

    def _without_upgrade(self) -> bytes:
        """The head of this request again, without the wish for another protocol.

        Such a wish may be ignored, the request may not: many a client asks for HTTP/2
        in this way. But the parser takes what follows for the other protocol's.
        """
        line = (self.parser.get_method(), self.url, b"HTTP/1.1")
        self.parser = httptools.HttpRequestParser(self)
        headers = [
            b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"
        ]
        return b" ".join(line) + b"\r\n" + b"".join(headers) + b"\r\n"

    @override
    def _should_upgrade(self) -> bool:
        """Only to what is spoken here, and not before the answers that are due."""
        offered = dict(self.headers).get(b"sec-websocket-protocol", b"")
        return b"hrana" in offered and not self._owed and super()._should_upgrade()

    # --- What the parser calls --------------------------------------------------------

    @override
    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, after the head; they are bounded in the same way.
        if len(self.headers) >= self.limits.headers:
            raise HeadTooLargeError(
                f"the head has more than {self.limits.headers} headers"
            )
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        self._asks_for_upgrade = self.parser.should_upgrade()
        if self._asks_for_upgrade and self._should_upgrade():
            super().on_headers_complete()
        elif not self._asks_for_upgrade:
            super().on_headers_complete()
            self._in_body = True
            self._owed += 1
        elif self.parser.get_method() == b"CONNECT":
            raise NotHttpError("this is no proxy: CONNECT leads nowhere")

    @override
    def on_message_complete(self) -> None:
        self._stop_timer()
        if not self._asks_for_upgrade:
            self._in_body = False
            super().on_message_complete()

    # --- Callers who do not read ------------------------------------------------------

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    @override
    def resume_writing(self) -> None:
        self._stop_reader_timer()
        super().resume_writing()

    def _watch_reader(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._reader_timer = self.loop.call_later(
            self.limits.read_timeout_s, self._cut_off_if_stuck
        )

    def _cut_off_if_stuck(self) -> None:
        # Nothing is added while writing is paused: what is less has been read.
        if self.transport.get_write_buffer_size() < self._unread_bytes:
            self._watch_reader()
        else:
            self.transport.abort()

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    # --- Answers ----------------------------------------------------------------------

    @override
    def on_response_complete(self) -> None:
        self._owed -= 1
        super().on_response_complete()
        self._tell_refusal_if_due()
        if self._has_ended and not self._owed:
            self.transport.close()

    def _refuse(self, error: NexusError) -> None:
        """Answer this after all that came before it, then close."""
        self._refusal = error
        self._stop_timer()
        if self._in_body and not self.cycle.response_started:
            # It is this request that cannot be read on: the refusal is its answer.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._owed -= 1
        self._in_head = self._in_body = False
        self._tell_refusal_if_due()

    def _tell_refusal_if_due(self) -> None:
        if self._refusal is None or self._owed or self.transport.is_closing():
            return
        self.transport.write(refusal_bytes(self._refusal))
        self._end_answers()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _end_answers(self) -> None:
        """Nothing more is written; what still comes is dropped for a while."""
        self.transport.write_eof()

    def _start_timer(self, limit_s: float) -> None:
        self._timer = self.loop.call_later(limit_s, self._refuse_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse_late(self) -> None:
        self._timer = None
        if self._in_head:
            limit_s = self.limits.head_timeout_s
            self._refuse(
                HeadTooSlowError(f"the head was not complete after {limit_s:g} s")
            )
        elif self._in_body and not self.cycle.response_started:
            limit_s = self.limits.body_timeout_s
            self._refuse(
                BodyTooSlowError(f"the body was not complete after {limit_s:g} s")
            )
        else:
            self.transport.close()


def refusal_bytes(error: NexusError) -> bytes:
    """The last answer of a connection, without the help of an application."""
    response = problem_response(error)
    status = HTTPStatus(response.status_code)
    headers = [*response.raw_headers, (b"connection", b"close")]
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        + b"".join(b"%s: %s\r\n" % header for header in headers)
        + b"\r\n"
        + bytes(response.body)
    )
