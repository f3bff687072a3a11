"""The replication port of a process: who is let in, and to which database.

One port serves them all. A peer names its database in the features of its Hello or
Attach; who names none means the main one. It is open in every role.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from nexus.config import join_address, split_address
from nexus.errors import ConfigurationError, HandshakeRefusedError, ProtocolError
from nexus.model.token import Principal
from nexus.node.network.aborting import cut_off
from nexus.node.network.admittance import Admittance
from nexus.node.network.connection import READ_BYTES, Connection
from nexus.node.network.door import Door
from nexus.node.network.listening import Listener, bound_sockets
from nexus.node.network.security import TransportSecurity
from nexus.node.network.tlsport import TlsPort
from nexus.node.tasks import Tasks
from nexus.protocol.calls import Attach
from nexus.protocol.codec import encode
from nexus.protocol.databases import database_of
from nexus.protocol.messages import Error, ErrorCode, Hello

log = structlog.get_logger(__name__)

_NOT_TLS: Final = Error(
    ErrorCode.UNAUTHORISED,
    "this port speaks TLS: a node sets tls.cert_file, a client writes tls=on",
)

MAIN: Final = ""
"""The database that has no name of its own."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A peer that is proven where there is a secret."""

    connection: Connection
    hello: Hello | Attach
    challenge: bytes
    """The nonce that its proof was over."""
    principal: Principal
    """Who it is, if it is a client."""


Serve = Callable[[Visitor], Awaitable[None]]
"""Serves a visitor until it goes; raises what the port answers and logs."""


class Port:
    """Listens between `start` and `stop`; for one event loop."""

    def __init__(
        self,
        security: TransportSecurity,
        admittance: Admittance,
        *,
        timeout_s: float,
        named: Sequence[str] = (),
    ) -> None:
        self.address = ""
        """Where it listens, with the port that the system chose for 0."""
        self.rejections: Counter[str] = Counter()
        """Peers turned away before a machine saw them, by reason."""
        self.security = security
        """What this side proves itself with, and a node has to."""
        self.admittance = admittance
        """What a client has to prove, if anything."""
        self._timeout_s = timeout_s
        self._door = Door(timeout_s=timeout_s, asks_nodes=security.asks_nodes)
        self._databases: dict[str, Serve] = {}
        self._configured = frozenset({MAIN, *named})
        """Who asks for one of these, and comes too early or too late, may try again."""
        self._server: Listener | None = None
        self._is_closed = False
        self._tasks = Tasks()

    async def start(self, address: str) -> None:
        """Listen; raises ConfigurationError where the address cannot be had."""
        host, _ = split_address(address)
        try:
            self._server = await self._listen(address)
        except OSError as error:
            raise ConfigurationError(
                f"replication.bind_addr {address} cannot be used: "
                f"{error.strerror or error}; stop what listens there, or name another"
            ) from error
        self.address = join_address(host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Let nobody in any more, and see off who is there."""
        self._is_closed = True
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await self._tasks.end()

    def open_to(self, database: str, serve: Serve) -> None:
        """From now on hand the visitors of this database to `serve`."""
        self._databases[database] = serve

    def close_to(self, database: str) -> None:
        """Hand over no more of them."""
        self._databases.pop(database, None)

    async def _listen(self, address: str) -> Listener:
        sockets = await bound_sockets(address)
        credentials = self.security.credentials
        if credentials is None:
            return Listener(sockets, self._meet_plainly)
        return TlsPort(
            sockets,
            credentials,
            self._stream,
            plain=self._stream if self.security.is_optional else None,
            plain_answer=encode(_NOT_TLS),
            door=Door(timeout_s=self._timeout_s),
        )

    async def _meet_plainly(self, accepted: socket.socket, _host: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._stream, accepted)

    def _stream(self) -> asyncio.StreamReaderProtocol:
        """One that calls `_accept` once it is connected."""
        reader = asyncio.StreamReader(limit=READ_BYTES)
        return asyncio.StreamReaderProtocol(reader, self._accept)

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve who comes; cut off whom the system let in while this port closed."""
        if self._is_closed:
            cut_off(writer.transport)
            return
        task = self._tasks.spawn(self._meet(Connection(reader, writer)))
        # One that is cancelled before its first step has closed nothing.
        task.add_done_callback(lambda _: cut_off(writer.transport))

    async def _meet(self, connection: Connection) -> None:
        """Serve one peer until it goes, or refuse it; its connection is closed then."""
        peer = connection.peer_address
        try:
            await self._hand_over(connection)
        except HandshakeRefusedError as error:
            self.rejections[error.reason] += 1
            if error.reason != ErrorCode.BUSY:  # the door tells of a crowd
                log.warning("replica_refused", peer=peer, reason=str(error))
            await connection.refuse(ErrorCode(error.reason), str(error))
        except ProtocolError as error:
            self.rejections[ErrorCode.MALFORMED] += 1
            log.warning("peer_malformed", peer=peer, reason=str(error))
            await connection.refuse(ErrorCode.MALFORMED, str(error))
        except (OSError, TimeoutError) as error:
            log.info("peer_gone", peer=peer, reason=str(error) or "timed out")
        finally:
            await connection.close()

    async def _hand_over(self, connection: Connection) -> None:
        greeting = await self._door.hello(connection, self.admittance)
        hello = greeting.hello
        name = database_of(hello.features)
        serve = self._databases.get(name)
        if serve is not None:
            challenge, principal = greeting.challenge, greeting.principal
            await serve(Visitor(connection, hello, challenge, principal))
        elif name in self._configured:
            which = f"the database {name!r} of this node" if name else "this node"
            await connection.refuse(
                ErrorCode.STOPPING, f"{which} is starting or stopping"
            )
        else:
            known = ", ".join(sorted(self._configured - {MAIN})) or "none"
            raise HandshakeRefusedError(
                f"this node has no database {name!r} (named ones: {known}); "
                "list it in `databases` on every node",
                reason=ErrorCode.UNKNOWN_DATABASE,
            )
