"""A socket that speaks TLS, for one thread that reads and others that write.

OpenSSL's state of a connection is for one thread at a time, and a read may wait for as
long as a query takes: so nothing waits while the state is held.
"""

import select
import socket
import ssl
import threading
import time

from nexus.client.target import split_host


class TlsChannel:
    """What a link needs of a socket."""

    def __init__(
        self, connected: socket.socket, context: ssl.SSLContext, host: str
    ) -> None:
        """Shake hands within the socket's timeout; raises OSError."""
        self._timeout_s = connected.gettimeout()
        self._socket = context.wrap_socket(connected, server_hostname=host)
        self._socket.settimeout(0)
        self._held = threading.Lock()

    def settimeout(self, timeout_s: float | None) -> None:
        """For the next call of `recv` or `sendall`."""
        self._timeout_s = timeout_s

    def recv(self, most: int) -> bytes:
        """At least a byte; nothing once the other side has ended."""
        deadline_s = self._deadline_s()
        while True:
            with self._held:
                try:
                    return self._socket.recv(most)
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
            self._wait(event, deadline_s)

    def sendall(self, data: bytes) -> None:
        """All of it; raises OSError, and then part of it may have left."""
        deadline_s = self._deadline_s()
        left = memoryview(data)
        while left:
            with self._held:
                try:
                    left = left[self._socket.send(left) :]
                    continue
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
            self._wait(event, deadline_s)

    def shutdown(self, how: int) -> None:
        """Shut the socket down; nothing is said."""
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket; nothing is said."""
        self._socket.close()

    def _deadline_s(self) -> float | None:
        return None if self._timeout_s is None else time.monotonic() + self._timeout_s

    def _wait(self, event: int, deadline_s: float | None) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        if deadline_s is None:
            poll.poll()
            return
        left_ms = round((deadline_s - time.monotonic()) * 1000)
        if left_ms <= 0 or not poll.poll(left_ms):
            raise TimeoutError("timed out")


def connected_to(
    address: str, timeout_s: float, context: ssl.SSLContext | None
) -> socket.socket | TlsChannel:
    """A connection to `host:port`; raises OSError where there is none."""
    host, port = split_host(address)
    connected = socket.create_connection((host, port), timeout_s)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return TlsChannel(connected, context, host) if context else connected
    except BaseException:
        connected.close()
        raise
