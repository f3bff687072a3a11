"""Serve a node's application over HTTP, on the event loop that runs already."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any, Final, Self

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from nexus.api.application import Application
from nexus.api.crowd import Crowd
from nexus.api.facade import NodeFacade
from nexus.api.protocol import BoundedHttpProtocol, HttpLimits, refusal_bytes
from nexus.api.refusals import NotHttpError
from nexus.api.socketprotocol import CountedSocket
from nexus.api.tlsprotocol import protocol_over_tls
from nexus.config import LimitSettings, join_address, split_address
from nexus.errors import ConfigurationError
from nexus.node.network.credentials import Credentials
from nexus.node.network.door import Door
from nexus.node.network.listening import BACKLOG, bound_sockets
from nexus.node.network.security import TransportSecurity
from nexus.node.network.tlsport import TlsPort

MOST_HANDSHAKES: Final = 512
"""At once; each may hold some 64 KiB, and is over in milliseconds."""

_NOT_TLS: Final = "the request came plainly, and this port speaks TLS: write https://"


def limits_of(settings: LimitSettings) -> HttpLimits:
    """The bounds of one connection, as they are configured."""
    return HttpLimits(
        connections=settings.connections,
        connections_of_address=settings.connections_per_address,
        head_timeout_s=settings.head_timeout_ms / 1000,
        body_timeout_s=settings.body_timeout_ms / 1000,
        read_timeout_s=settings.body_timeout_ms / 1000,
        keep_alive_s=max(1, settings.idle_connection_ms // 1000),
        message_bytes=settings.request_bytes,
    )


class HttpServer:
    """Listens between `start` and `stop`."""

    def __init__(
        self,
        node: NodeFacade,
        address: str | None = None,
        limits: HttpLimits | None = None,
    ) -> None:
        self._limits = limits or limits_of(node.config.limits)
        self._asked = node.config.http_addr if address is None else address
        self._security = node.security
        self._application = Application(node)
        self._measures = node.measures
        self._native_port = split_address(node.config.replication.bind_addr)[1]
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._sockets: list[socket.socket] = []
        self._port = 0

    @property
    def port(self) -> int:
        """The port that it listens on; the system chose it where 0 was asked for."""
        return self._port

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host, _ = split_address(self._asked)
        reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
        host = reachable.get(host, host)
        scheme = self._security.scheme
        return f"{scheme}://{join_address(host, self._port)}"

    @property
    def address(self) -> str:
        """What was asked for, with the port that the system chose for 0."""
        return join_address(split_address(self._asked)[0], self._port)

    async def bind(self) -> None:
        """Take the address; who connects waits until `start`.

        Raises ConfigurationError where it cannot be had.
        """
        try:
            self._sockets = await bound_sockets(self._asked)
        except OSError as error:
            raise ConfigurationError(
                f"http_addr = '{self._asked}' cannot be listened on: "
                f"{error.strerror or error}; free the port, or set http_addr to "
                "another HOST:PORT of this machine"
            ) from error
        self._port = self._sockets[0].getsockname()[1]

    async def start(self) -> None:
        """Serve; binds first where that was not done."""
        assert self._task is None, "it listens already"
        if not self._sockets:
            await self.bind()
        sockets, self._sockets = self._sockets, []
        server = self._server = _Server(
            _settings(
                self._application,
                self._limits,
                self._security.credentials,
                native_port_of_node=self._native_port,
            ),
            self._security,
            handshake_timeout_s=self._limits.head_timeout_s,
        )
        connections = server.server_state.connections
        self._measures.http_connections = lambda: len(connections)
        self._task = asyncio.create_task(self._server.serve(sockets), name="nexus-http")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait((self._task, listening), return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await self._task

    async def stop(self) -> None:
        """Finish what runs, within seconds, and close every connection."""
        for bound in self._sockets:
            bound.close()
        self._sockets = []
        if self._server is None or self._task is None:
            return
        self._application.stop()
        self._server.should_exit = True
        await self._task
        self._application.close()
        self._server = self._task = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.stop()


class _Server(uvicorn.Server):
    """Uvicorn's server, which leaves the signals to the node."""

    def __init__(
        self,
        config: uvicorn.Config,
        security: TransportSecurity,
        *,
        handshake_timeout_s: float,
    ) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._security = security
        self._handshake_timeout_s = handshake_timeout_s

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._security.credentials is None:
            await super().startup(sockets)
        else:
            await self.lifespan.startup()
            port: Any = TlsPort(
                sockets or (),
                self._security.credentials,
                self._over_tls,
                plain=self._plain if self._security.is_optional else None,
                plain_answer=refusal_bytes(NotHttpError(_NOT_TLS)),
                door=Door(timeout_s=self._handshake_timeout_s, most=MOST_HANDSHAKES),
            )
            self.servers = [port]
            self.started = True
        self.listening.set()

    def _over_tls(self) -> asyncio.Protocol:
        return self._protocol(self.config.http_protocol_class)

    def _plain(self) -> asyncio.Protocol:
        """For who does not speak TLS, where that is served too."""
        over_tls: Any = self.config.http_protocol_class
        return self._protocol(over_tls.plain)

    def _protocol(self, make: Any) -> asyncio.Protocol:
        """As uvicorn makes one for each connection."""
        protocol: asyncio.Protocol = make(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return protocol


def _settings(
    application: ASGIApp,
    bounds: HttpLimits,
    credentials: Credentials | None,
    *,
    native_port_of_node: int,
) -> uvicorn.Config:
    everybody = Crowd(
        most=bounds.connections, most_of_address=bounds.connections_of_address
    )

    class Plain(BoundedHttpProtocol):
        limits = bounds
        crowd = everybody
        native_port = native_port_of_node

    class Socket(CountedSocket):
        crowd = everybody

    over_tls = credentials and protocol_over_tls(Plain, credentials)
    return uvicorn.Config(
        application,
        http=over_tls or Plain,
        ws=Socket,
        ws_max_size=bounds.message_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=bounds.ping_s,
        ws_ping_timeout=bounds.ping_s,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=bounds.keep_alive_s,
        timeout_graceful_shutdown=bounds.grace_s,
    )
