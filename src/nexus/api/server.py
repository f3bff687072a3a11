"""Serve a node's application over HTTP, on the event loop that runs already."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Generator
from typing import Final, Self

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from nexus.api.application import Application
from nexus.api.bodies import BODY_LIMIT
from nexus.api.facade import NodeFacade
from nexus.api.protocol import BoundedHttpProtocol, HttpLimits
from nexus.config import join_address, split_address
from nexus.errors import ConfigurationError

BACKLOG: Final = 2048

_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A family that this machine does not have is no reason not to listen on the other."""

_DEFAULT_LIMITS: Final = HttpLimits()


class HttpServer:
    """Listens between `start` and `stop`."""

    def __init__(
        self,
        node: NodeFacade,
        address: str | None = None,
        limits: HttpLimits = _DEFAULT_LIMITS,
    ) -> None:
        self._limits = limits
        self._asked = node.config.http_addr if address is None else address
        self._application = Application(node)
        self._measures = node.measures
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
        return f"http://{join_address(host, self._port)}"

    @property
    def address(self) -> str:
        """What was asked for, with the port that the system chose for 0."""
        return join_address(split_address(self._asked)[0], self._port)

    async def bind(self) -> None:
        """Take the address; who connects waits until `start`.

        Raises ConfigurationError where it cannot be had.
        """
        self._sockets = await _bound_sockets(self._asked)
        self._port = self._sockets[0].getsockname()[1]

    async def start(self) -> None:
        """Serve; binds first where that was not done."""
        assert self._task is None, "it listens already"
        if not self._sockets:
            await self.bind()
        sockets, self._sockets = self._sockets, []
        server = self._server = _Server(_settings(self._application, self._limits))
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

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def _settings(application: ASGIApp, bounds: HttpLimits) -> uvicorn.Config:
    class Protocol(BoundedHttpProtocol):
        limits = bounds

    return uvicorn.Config(
        application,
        http=Protocol,
        ws="websockets-sansio",
        ws_max_size=BODY_LIMIT,
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


async def _bound_sockets(address: str) -> list[socket.socket]:
    """A socket for each address that the host means."""
    host, port = split_address(address)
    sockets: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, target in found:
            try:
                sockets.append(_bound(family, str(target[0]), port))
            except OSError as error:
                if error.errno not in _ABSENT or (
                    not sockets and target is found[-1][4]
                ):
                    raise
                continue
            # The system chooses a port once: all addresses share it.
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise ConfigurationError(
            f"http_addr = '{address}' cannot be listened on: "
            f"{error.strerror or error}; free the port, or set http_addr to another "
            "HOST:PORT of this machine"
        ) from error
    return sockets


def _bound(family: int, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.settimeout(0)
        bound.bind((host, port))
        # Here and not only in the server: two sockets may be bound to one port, and
        # the second one fails when it listens.
        bound.listen(BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound
