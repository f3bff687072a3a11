"""Lets in who speaks TLS, and tells who does not, so that it can say so.

The first byte is looked at before anything is read: a peer that speaks plainly gets a
plain answer. Handshakes have a deadline, and wait for nobody else's.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from typing_extensions import override

from nexus.errors import HandshakeRefusedError
from nexus.node.network.aborting import cut_off
from nexus.node.network.credentials import Credentials
from nexus.node.network.door import TELL_EVERY_S, Door
from nexus.node.network.listening import Listener
from nexus.tls.contexts import last_words
from nexus.tls.words import in_words

HANDSHAKE: Final = b"\x16"
"""The first byte of whatever begins as TLS does."""

LINGER_S: Final = 1.0
"""What a plain peer sends on is dropped for so long: closed at once, the connection
would be reset, and the answer lost on its way."""

MOST_REASONS: Final = 32
"""Told apart; OpenSSL's own have no end."""

PLAIN: Final = "it speaks plainly where TLS is spoken"

log = structlog.get_logger(__name__)


class TlsPort(Listener):
    """A listener that TLS is spoken to; who has shaken hands stays when it closes."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        credentials: Credentials,
        protocol: Callable[[], asyncio.BaseProtocol],
        *,
        plain: Callable[[], asyncio.BaseProtocol] | None = None,
        plain_answer: bytes,
        door: Door,
    ) -> None:
        """Who has shaken hands meets a `protocol`; the others meet a `plain` one.

        Where there is none, `plain_answer` is what they are told.
        `door` bounds those who have not.
        """
        self._credentials = credentials
        self._protocol = protocol
        self._plain = plain
        self._plain_answer = plain_answer
        self._door = door
        self._told: dict[str, tuple[float, int]] = {}
        """When each reason was told last, and how often it was met since."""
        super().__init__(sockets, self._meet_stranger)

    async def _meet_stranger(self, accepted: socket.socket, host: str) -> None:
        try:
            async with self._door.stranger(host):
                if await self._speaks_tls(accepted):
                    await self._shake_hands(accepted, host)
                elif self._plain is not None:
                    loop = asyncio.get_running_loop()
                    await loop.connect_accepted_socket(self._plain, accepted)
                else:
                    self._tell(host, PLAIN)
                    await _dismiss(accepted, self._plain_answer)
        except HandshakeRefusedError:
            accepted.close()  # the door tells of a crowd
        except TimeoutError:
            self._tell(host, "the handshake took too long")
        except OSError as error:
            self._tell(host, error.strerror or str(error) or "it is gone")

    async def _speaks_tls(self, accepted: socket.socket) -> bool:
        """Whether it begins as TLS does; raises OSError for who leaves before."""
        try:
            first = await _first_byte(accepted)
        except BaseException:
            accepted.close()
            raise
        if not first:
            accepted.close()
            raise ConnectionResetError("it closed the connection at once")
        return first == HANDSHAKE

    async def _shake_hands(self, accepted: socket.socket, host: str) -> None:
        words: list[bytes] = []
        last_words.set(words)  # of this task
        spare = accepted.dup()
        try:
            # From here on the socket is the transport's, which closes it.
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_accepted_socket(
                self._protocol, accepted, ssl=self._credentials.server
            )
        except ssl.SSLError as error:
            self._tell(host, in_words(error))
            await _dismiss(spare, b"".join(words))
        except BaseException:
            spare.close()
            raise
        else:
            spare.close()
            self._credentials.met(transport)

    def _tell(self, host: str, reason: str) -> None:
        """One line of the log for all of a while and a reason: port scans are many."""
        if reason not in self._told and len(self._told) >= MOST_REASONS:
            reason = "for other reasons as well"
        told_s, untold = self._told.get(reason, (-TELL_EVERY_S, 0))
        now_s = time.monotonic()
        if now_s - told_s >= TELL_EVERY_S:
            log.warning("tls_refused", peer=host, reason=reason, count=untold + 1)
            self._told[reason] = (now_s, 0)
        else:
            self._told[reason] = (told_s, untold + 1)


class _Dismissal(asyncio.Protocol):
    """Says one thing, and listens to nothing."""

    def __init__(self, answer: bytes) -> None:
        self.ended = asyncio.Event()
        self._answer = answer

    @override
    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        transport.write(self._answer)
        transport.write_eof()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def _dismiss(accepted: socket.socket, answer: bytes) -> None:
    transport, dismissal = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: _Dismissal(answer), accepted
    )
    try:
        async with asyncio.timeout(LINGER_S):
            await dismissal.ended.wait()
    except TimeoutError:
        pass
    finally:
        cut_off(transport)


async def _first_byte(accepted: socket.socket) -> bytes:
    """The first byte, left where it is; nothing if the peer leaves without one."""
    accepted.settimeout(0)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    while True:
        try:
            return accepted.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            readable.clear()
        loop.add_reader(accepted, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(accepted)
