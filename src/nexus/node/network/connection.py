"""A TCP stream that speaks messages, with deadlines.

Nothing here decides: whoever owns the connection reads messages in bunches, as they
came off the wire, and writes frames that are sent in one go.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, cast

from nexus.config import join_address, split_address
from nexus.errors import ProtocolError
from nexus.node.network.aborting import cut_off
from nexus.protocol.codec import Decoder, encode
from nexus.protocol.messages import Error, ErrorCode, Message
from nexus.tls.words import in_words, is_plain

READ_BYTES: Final = 256 << 10
"""One read from the socket; also asyncio's own buffer limit."""

WRITE_BUFFER_BYTES: Final = 256 << 10
"""Bytes that may wait in this process for a slow peer; then its sender waits.

A heartbeat waits behind them, and a master is deposed when its own come too late."""

RESUME_BYTES: Final = 160 << 10
"""The sender goes on when no more wait; still enough to know a slow peer by."""

CONGESTED_BYTES: Final = 128 << 10
"""Bytes that wait beside what the system itself has taken for sending."""

UNSENT_BYTES: Final = 128 << 10
"""What the system takes of a stream before the network has taken the rest: of its own
accord it takes megabytes, and a heartbeat waits behind these too."""

CLOSE_TIMEOUT_S: Final = 2.0
"""How long a peer may take to read the last frame before the socket is cut."""

FAREWELL_S: Final = 0.25
"""How long TLS waits for the peer's own farewell: one that is dead says none, and who
looks for another master must not wait for it."""


class PlainPeerError(ConnectionError):
    """TLS was begun, and the other side does not speak it."""


class Connection:
    """One peer. Reads from one task; writes from any."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._early: list[Message] = []
        self.bytes_sent = 0
        self.bytes_received = 0
        self.pace: Callable[[int], Awaitable[None]] | None = None
        """Told how many bytes were read; nothing is read before it returns."""
        self.read_bytes = READ_BYTES
        """The most that one read takes."""
        self.grows: Callable[[int], None] | None = None
        """Told how many bytes have come of a message that is not whole yet."""
        writer.transport.set_write_buffer_limits(WRITE_BUFFER_BYTES, RESUME_BYTES)

    @classmethod
    async def open(
        cls, address: str, *, timeout_s: float, tls: ssl.SSLContext | None = None
    ) -> "Connection":
        """Connect to `host:port`; OSError or TimeoutError when it cannot be had.

        With `tls` the peer must have a certificate for that host.
        """
        host, port = split_address(address)
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(
                    host, port, limit=READ_BYTES, ssl=tls
                )
        except ssl.SSLError as error:
            kind = PlainPeerError if is_plain(error) else ConnectionError
            raise kind(in_words(error)) from error
        except ValueError as error:  # a host that no resolver can be asked for
            raise OSError(f"{host[:80]!r} is no host: {error}") from error
        return cls(reader, writer)

    @property
    def transport(self) -> asyncio.WriteTransport:
        """What it goes over."""
        return self._writer.transport

    @property
    def peer_host(self) -> str:
        """The other end's host; empty once it is gone."""
        name = self._writer.get_extra_info("peername")
        return str(name[0]) if name else ""

    @property
    def peer_address(self) -> str:
        """The other end, as `host:port`."""
        name = self._writer.get_extra_info("peername")
        return join_address(name[0], name[1]) if name else "unknown"

    @property
    def own_address(self) -> str:
        """This end, as `host:port`."""
        name = self._writer.get_extra_info("sockname")
        return join_address(name[0], name[1]) if name else "unknown"

    @property
    def is_of_a_node(self) -> bool:
        """Whether the peer has shown a node's certificate, of the CA trusted here."""
        return is_of_a_node(self._writer.transport)

    @property
    def is_congested(self) -> bool:
        """Whether the network, or the peer, is slower than this node just now.

        Only then is what is sent worth compressing: both ends pay for it.
        """
        return self._writer.transport.get_write_buffer_size() > CONGESTED_BYTES

    def hand_over(self) -> tuple[asyncio.Transport, Decoder]:
        """The socket, and what reads it, for who serves the peer in another way.

        Raises ProtocolError if the peer has said more than it was asked for.
        """
        self._require_waited()
        # A socket's is both; uvloop's own is no subclass of asyncio's.
        return cast("asyncio.Transport", self._writer.transport), self._decoder

    def _require_waited(self) -> None:
        if self._early:
            raise ProtocolError(
                f"{self.peer_address} did not wait for the end of the handshake"
            )

    def handshake_done(self) -> None:
        """From now on accept frames of the full size."""
        self._decoder.handshake_done()

    def keep_short(self) -> None:
        """Let little wait in the system for the network, where the system can do so."""
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        line = self._writer.get_extra_info("socket")
        if option is not None and line is not None:
            with suppress(OSError):  # it has ended, or is no TCP connection
                line.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)

    async def receive(self) -> list[Message]:
        """The next messages, at least one; an empty list once the peer has closed.

        Raises ProtocolError for bytes that no correct peer sends.
        """
        if self._early:
            messages, self._early = self._early, []
            return messages
        while True:
            try:
                data = await self._reader.read(self.read_bytes)
            except ssl.SSLError as error:
                raise ConnectionError(in_words(error)) from error
            if not data:
                return []
            self.bytes_received += len(data)
            if self.pace is not None:
                await self.pace(len(data))
            messages = self._decoder.feed(data)
            if messages:
                return messages
            if self.grows is not None:
                self.grows(len(data))

    async def receive_bytes(self) -> bytes:
        """The next bytes as they come, for who passes them on; none at the end.

        Raises ProtocolError if the peer has said more than it was asked for.
        """
        self._require_waited()
        data = await self._reader.read(READ_BYTES)
        self.bytes_received += len(data)
        return data

    async def receive_one(self, *, timeout_s: float) -> Message:
        """The next message of a handshake; what came with it is kept for `receive`.

        Raises ProtocolError if the peer closes instead, TimeoutError if it is silent.
        """
        async with asyncio.timeout(timeout_s):
            messages = await self.receive()
        if not messages:
            raise ProtocolError(f"{self.peer_address} closed during the handshake")
        self._early = messages[1:]
        return messages[0]

    def send(self, message: Message) -> None:
        """Queue one message; `drain` waits until the peer keeps up.

        Nothing happens once the connection has ended: its reader learns that.
        """
        self.send_bytes(encode(message))

    def send_bytes(self, frames: bytes) -> None:
        """Queue whole frames that are encoded already, as `send` does."""
        if self._writer.is_closing():
            return  # uvloop would raise where asyncio only warns
        self.bytes_sent += len(frames)
        self._writer.write(frames)

    async def drain(self) -> None:
        """Wait until the peer has read enough; raises OSError when it is gone."""
        await self._writer.drain()

    async def refuse(self, code: ErrorCode, message: str) -> None:
        """Say why, then close."""
        self.send(Error(code, message))
        await self.close()

    async def close(self) -> None:
        """Flush what is queued, within CLOSE_TIMEOUT_S, and close the socket."""
        transport = self._writer.transport
        is_told = _is_tls(transport) and not transport.get_write_buffer_size()
        self._writer.close()
        try:
            async with asyncio.timeout(FAREWELL_S if is_told else CLOSE_TIMEOUT_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            cut_off(transport)
        except asyncio.CancelledError:
            cut_off(transport)
            raise


def _is_tls(transport: asyncio.BaseTransport) -> bool:
    """Whether TLS is spoken over it."""
    return transport.get_extra_info("sslcontext") is not None


def is_of_a_node(transport: asyncio.BaseTransport) -> bool:
    """Whether the other end has shown the certificate of a node; never without TLS."""
    spoken: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    shown = None if spoken is None else spoken.getpeercert(binary_form=True)
    if not shown:
        return False
    from nexus.tls import certificates  # noqa: PLC0415 - 8 MB

    return certificates.is_of_a_node(shown)
