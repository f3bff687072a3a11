"""Sockets that listen on every address that a host means."""

import asyncio
import errno
import socket
from typing import Final

from nexus.config import split_address

BACKLOG: Final = 2048
"""Connections that the system keeps at the door until they are accepted."""

_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A family that this machine does not have is no reason not to listen on the other."""


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
