"""A node that says just what a test tells it to."""

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Self

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, Offset
from nexus.protocol.calls import Attach, Attached
from nexus.protocol.codec import Decoder, encode
from nexus.protocol.messages import Error, Message

ATTACHED = Attached(1, NodeId("n"), "c", "master", Epoch(1), "", "", Offset(0), 5000)

Answering = Callable[[Message], list[Message] | None]
"""What to say to a message; None: close the connection."""


class ScriptedNode:
    """Answers each message in every connection as the script says."""

    def __init__(
        self,
        answering: Answering,
        attached: Message | Callable[[Attach], Message] = ATTACHED,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self.heard: list[Message] = []
        self.attaches = 0
        self._answering = answering
        self._attached = attached
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nexus://{self.address}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # ends `accept`, as close does not
        self._threads[0].join(5)
        self._server.close()
        for thread in self._threads[1:]:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(
                target=self._serve, args=(connected,), daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _serve(self, connected: socket.socket) -> None:
        if self._tls is not None:
            try:
                self._answer(self._tls.wrap_socket(connected, server_side=True))
            except OSError:
                return
        else:
            self._answer(connected)

    def _answer(self, connected: socket.socket) -> None:
        decoder = Decoder()
        decoder.handshake_done()
        with connected:
            while True:
                try:
                    data = connected.recv(1 << 16)
                except OSError:
                    return
                if not data:
                    return
                for message in decoder.feed(data):
                    try:
                        goes_on = self._say(connected, message)
                    except OSError:  # the client has gone
                        return
                    if not goes_on:
                        return

    def _say(self, connected: socket.socket, message: Message) -> bool:
        if isinstance(message, Attach):
            self.attaches += 1
            told = self._attached
            said: list[Message] | None = [told(message) if callable(told) else told]
        else:
            self.heard.append(message)
            said = self._answering(message)
        if said is None:
            return False
        for answer in said:
            connected.sendall(encode(answer))
        return not isinstance(said[-1] if said else None, Error)
