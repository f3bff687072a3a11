"""Keep HTTP connections to other nodes, one request at a time on each.

A general HTTP client costs a millisecond of CPU a request here, ten times what the
forwarding of an insert costs otherwise. What it must tell apart is just this: whether
a byte of the request can have left.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import httptools
from typing_extensions import override

from nexus.node.network.aborting import cut_off
from nexus.tls.words import in_words, is_plain

JOIN_LIMIT: Final = 64 << 10
"""Bytes of a body that are copied behind the head, to be one packet with it."""

FIRST_FINAL_STATUS: Final = 200
"""Answers below only announce one."""

Headers = list[tuple[bytes, bytes]]
Address = tuple[str, int]
Gone = Callable[[], str]

Reached = TypeVar("Reached")
Over = Callable[[ssl.SSLContext | None, Address], Awaitable[Reached]]
"""Makes a connection, over TLS or plainly."""
Met = Callable[[asyncio.WriteTransport], None]


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one other node can occupy of this one, and for how long."""

    connections: int = 64
    """Requests that are on their way at once; the others wait for their turn."""
    connect_timeout_s: float = 5.0
    """For the turn, and then again for a new connection."""
    answer_timeout_s: float = 60.0
    """A large transaction takes its time; after this its outcome is unknown."""
    look_s: float = 1.0
    """How often, while it waits, it is asked whether an answer can still come."""
    idle_s: float = 5.0
    """Shorter than a server's: a reused connection must not close under a write."""
    answer_bytes: int = 256 << 20
    """Of one answer, its head included."""


class UnsentError(Exception):
    """Not a byte of the request has left this node."""


class LostError(Exception):
    """The request may have arrived, and no answer will."""


@dataclass(frozen=True, slots=True)
class Received:
    """A whole answer; the names of its headers are in lower case."""

    status: int
    headers: Headers
    body: bytes


class Connection(asyncio.Protocol):
    """One connection to `address`."""

    def __init__(self, address: Address, limits: ConnectionLimits, gone: Gone) -> None:
        self.address = address
        self.idle_since = 0.0
        self.is_usable = False
        """Whether another request may be sent: no answer is due, nobody has closed."""
        self._limits = limits
        self._gone = gone
        self._timer: asyncio.TimerHandle | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Received] | None = None
        self._transport: asyncio.Transport | None = None
        self._headers: Headers = []
        self._body: list[bytes] = []
        self._received_bytes = 0

    async def exchange(self, head: bytes, body: bytes) -> Received:
        """Send a request, and wait for the answer.

        Raises LostError where none comes; the connection is closed then, as when the
        caller is cancelled.
        """
        assert self._transport is not None, "it was opened"
        assert self.is_usable, "one request at a time"
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Received] = loop.create_future()
        self._waiter = waiter
        self.is_usable = False
        if len(body) <= JOIN_LIMIT:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        self._look_again(loop.time() + self._limits.answer_timeout_s)
        try:
            return await waiter
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._waiter = None
            if not self.is_usable:
                self.close()

    def close(self) -> None:
        """Close it at once: what is not sent yet is dropped."""
        self.is_usable = False
        if self._transport is not None:
            cut_off(self._transport)

    # --- What asyncio calls -----------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self.is_usable = True

    @override
    def data_received(self, data: bytes) -> None:
        self._received_bytes += len(data)
        if self._waiter is None:
            self.close()
        elif self._received_bytes > self._limits.answer_bytes:
            self._give_up(f"the answer exceeds {self._limits.answer_bytes} bytes")
        else:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError as error:
                self._give_up(f"the answer is no HTTP: {error}")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        why = in_words(exc) if isinstance(exc, ssl.SSLError) else str(exc or "")
        self._give_up(why or "the connection was closed")

    def _look_again(self, deadline: float) -> None:
        """Not asyncio.timeout, which costs twice as much."""
        loop = asyncio.get_running_loop()
        left_s = deadline - loop.time()
        pause_s = min(self._limits.look_s, left_s)
        self._timer = loop.call_later(pause_s, self._look, deadline)

    def _look(self, deadline: float) -> None:
        if asyncio.get_running_loop().time() >= deadline:
            self._give_up(f"no answer in {self._limits.answer_timeout_s:g} s")
        elif why := self._gone():
            self._give_up(why)
        else:
            self._look_again(deadline)

    def _give_up(self, why: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(LostError(why))
        self.close()

    # --- What the parser calls --------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of an answer."""
        self._headers = []
        self._body = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The last byte of an answer."""
        assert self._waiter is not None, "asked before the parser was fed"
        status = self._parser.get_status_code()
        if status < FIRST_FINAL_STATUS:
            return
        if self._waiter.done():
            self.close()
            return
        answer = Received(status, self._headers, b"".join(self._body))
        self._received_bytes = 0
        self.is_usable = self._parser.should_keep_alive()
        self._waiter.set_result(answer)


_DEFAULT_LIMITS: Final = ConnectionLimits()


class Connections:
    """The connections to one master; to another one as soon as it is asked for."""

    def __init__(
        self,
        limits: ConnectionLimits = _DEFAULT_LIMITS,
        gone: Gone = lambda: "",
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
        *,
        met: Met = lambda _: None,
        may_be_plain: bool = False,
    ) -> None:
        """`gone` tells why the master that is asked will not answer, or nothing.

        `tls` is what a new connection is made with just now; None: plainly. `met` is
        told of each. With `may_be_plain` it is plain where the other side speaks no
        TLS.
        """
        self._met = met
        self._may_be_plain = may_be_plain
        self._tls = tls
        self._limits = limits
        self._gone = gone
        self._slots = asyncio.Semaphore(limits.connections)
        self._idle: list[Connection] = []
        """The one that was used last is used next: those not needed grow old."""

    async def exchange(self, address: Address, head: bytes, body: bytes) -> Received:
        """The answer to this request; raises UnsentError or LostError."""
        if self._slots.locked():
            await self._wait_for_turn()
        else:
            await self._slots.acquire()
        try:
            connection = self._kept(address) or await self._opened(address)
            answer = await connection.exchange(head, body)
            if connection.is_usable:
                connection.idle_since = asyncio.get_running_loop().time()
                self._idle.append(connection)
            return answer
        finally:
            self._slots.release()

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise UnsentError(
                f"{self._limits.connections} writes are on their way already"
            ) from None

    def _kept(self, address: Address) -> Connection | None:
        """A connection of before; those that are of no use are closed on the way."""
        oldest = asyncio.get_running_loop().time() - self._limits.idle_s
        while self._idle:
            found = self._idle.pop()
            if (
                found.is_usable
                and found.address == address
                and found.idle_since > oldest
            ):
                return found
            found.close()
        return None

    async def _opened(self, address: Address) -> Connection:
        connection = await self.reach(self._over, address)
        if not connection.is_usable:
            raise UnsentError("it closed the connection at once")
        return connection

    async def reach(self, over: Over[Reached], address: Address) -> Reached:
        """What `over` gives, over TLS or not; raises UnsentError."""
        timeout_s = self._limits.connect_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._reached(over, address)
        except TimeoutError:
            raise UnsentError(f"no connection within {timeout_s:g} s") from None
        except ssl.SSLError as error:
            raise UnsentError(in_words(error)) from None
        except (OSError, UnicodeError) as error:
            raise UnsentError(str(error)) from None

    async def _reached(self, over: Over[Reached], address: Address) -> Reached:
        try:
            return await over(self._tls(), address)
        except ssl.SSLError as error:
            if not (self._may_be_plain and is_plain(error)):
                raise
            return await over(None, address)

    async def _over(self, tls: ssl.SSLContext | None, address: Address) -> Connection:
        transport, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(address, self._limits, self._gone), *address, ssl=tls
        )
        self._met(transport)
        return connection

    def close(self) -> None:
        """Close those that are idle; the others close with their request."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
