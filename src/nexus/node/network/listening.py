"""Sockets that listen on every address that a host means, and who comes by them."""

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import structlog

from nexus.config import split_address

BACKLOG: Final = 2048
"""Connections that the system keeps at the door until they are accepted."""

PAUSE_S: Final = 1.0
"""Before the next one is accepted where there is no descriptor for it."""

_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A family that this machine does not have is no reason not to listen on the other."""

log = structlog.get_logger(__name__)

Meet = Callable[[socket.socket, str], Coroutine[Any, Any, None]]
"""Given a connection and the host that it comes from; closes it, or gives it on."""


class Listener:
    """Listens from its making until `close`; for the loop it was made on.

    It accepts in one step of the loop, so that nobody is lost between the two ends of a
    closing, as may happen to asyncio's own server (`Server._attach` after `close`).
    """

    def __init__(self, sockets: Sequence[socket.socket], meet: Meet) -> None:
        self.sockets = list(sockets)
        self._meet = meet
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        for listening in self.sockets:
            self._listen(listening)

    def close(self) -> None:
        """Listen no more, and see off who is being met; calling again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        loop = asyncio.get_running_loop()
        for listening in self.sockets:
            loop.remove_reader(listening)
            listening.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Return once nobody is being met any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listen(self, listening: socket.socket) -> None:
        if not self._is_closed:
            loop = asyncio.get_running_loop()
            loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            accepted, address = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.warning("nobody_accepted", reason=error.strerror or str(error))
            loop = asyncio.get_running_loop()
            loop.remove_reader(listening)
            loop.call_later(PAUSE_S, self._listen, listening)
            return
        accepted.settimeout(0)
        task = asyncio.create_task(self._meet(accepted, str(address[0])))
        self._tasks.add(task)
        task.add_done_callback(partial(self._met, accepted))

    def _met(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # maybe before its first step
            accepted.close()


async def bound_sockets(address: str) -> list[socket.socket]:
    """A socket for each address that the host means; raises OSError for none."""
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
    except OSError:
        for bound in sockets:
            bound.close()
        raise
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
