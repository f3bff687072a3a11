"""One connection to a node: requests out, each one's answers back; it blocks."""

import secrets
import socket
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Final

import msgspec

from nexus.client.channel import TlsChannel, connected_to
from nexus.client.forks import forks, opened_before
from nexus.errors import ForkedError, HandshakeRefusedError, ProtocolError
from nexus.model.token import read_token, sha256
from nexus.protocol.calls import (
    CALLS_LEAST,
    CALLS_MOST,
    Attach,
    Attached,
    Cancel,
    Done,
    Failed,
    Rows,
)
from nexus.protocol.codec import Decoder, encode
from nexus.protocol.databases import features_for
from nexus.protocol.messages import Challenge, Error, ErrorCode, Message, Ping
from nexus.protocol.passage import TO_MASTER
from nexus.protocol.proofs import (
    TOKEN_FEATURE,
    attach_proof,
    attached_proof,
    proves,
    token_proof,
)
from nexus.tls.words import in_words, is_passing

READ_BYTES: Final = 256 << 10

PING_EVERY_S: Final = 2.0
"""How long nothing is heard before the node is asked whether it lives."""

DEAD_AFTER_S: Final = 10.0
"""A node that is silent for so long, asked or not, is taken for dead."""

_FOR_GOOD: Final = frozenset(
    {
        ErrorCode.UNAUTHORISED,
        ErrorCode.CLUSTER,
        ErrorCode.UNKNOWN_DATABASE,
        ErrorCode.VERSION,
        ErrorCode.MALFORMED,
    }
)
"""Refusals that another try would meet again."""

HTTP: Final = b"HTTP/1."
"""How the port of another protocol begins what it says to this one."""

MASTERS: Final = frozenset({"master", "standalone"})

Answer = Rows | Done | Failed


class LinkLostError(Exception):
    """The connection is gone: what was asked may be done or not."""


class UnfitError(LinkLostError):
    """No link to this address until somebody changes something; `reason` says why."""

    reason: ErrorCode = ErrorCode.MALFORMED


class NotTrustedError(UnfitError):
    """No TLS can be spoken with this node."""

    reason = ErrorCode.UNAUTHORISED


class Link:
    """An attached connection; one thread asks, any may cancel."""

    def __init__(self, address: str, connected: socket.socket | TlsChannel) -> None:
        self.address = address
        self.is_lost = False
        self.is_passed_on = False
        """Whether it leads to the master, through the node at this address."""
        self.round_trip_us = 0
        self.attached: Attached
        """What the node has told of itself."""
        self._forks = forks.count
        self._socket = connected
        self._sending = threading.Lock()
        self._decoder = Decoder()
        self._heard: deque[Message] = deque()
        self._answers: dict[int, deque[Answer]] = {}
        """Of requests whose answers are still waited for."""

    @classmethod
    def open(
        cls,
        address: str,
        secret: str,
        *,
        timeout_s: float,
        database: str = "",
        tls: ssl.SSLContext | None = None,
        to_master: bool = False,
    ) -> "Link":
        """Connect and attach to one of the node's databases; empty: the main one.

        With `tls` the node must be who it says. With `to_master` the link is to the
        node's master, through the node, where that can pass on what is said.

        Raises LinkLostError where another try may help, HandshakeRefusedError where
        none does.
        """
        try:
            connected = connected_to(address, timeout_s, tls)
        except (OSError, ValueError) as error:  # or no host to be asked for
            raise _lost(address, error) from error
        link = cls(address, connected)
        try:
            attach = link._attach_to_master if to_master else link._attach
            attach(secret, features_for(database), time.monotonic() + timeout_s)
        except BaseException:
            link.close()
            raise
        return link

    @property
    def is_master(self) -> bool:
        """Whether the node took writes when it was attached to."""
        return self.attached.role in MASTERS

    def ask(self, request_id: int, request: Message) -> None:
        """Send a request; raises LinkLostError, and then it may have arrived.

        In a child after fork() it raises ForkedError, and nothing is sent.
        """
        frame = encode(request)
        self._answers[request_id] = deque()
        self._send(frame)

    def say(self, message: Message) -> None:
        """Send what has no answer of its own, or continues one."""
        self._send(encode(message))

    def cancel(self, request_id: int) -> None:
        """Have a request end soon; from any thread, and harmless if it has ended."""
        try:
            self._send(encode(Cancel(request_id)))
        except (LinkLostError, ForkedError):
            return

    def answer(self, request_id: int) -> Answer:
        """The next answer to this request; raises LinkLostError."""
        own = self._answers[request_id]
        while not own:
            self._sort(self._receive(None))
        answer = own.popleft()
        if not isinstance(answer, Rows):
            del self._answers[request_id]
        return answer

    def forget(self, request_id: int) -> None:
        """Its answers are of no interest any more."""
        if self._answers.pop(request_id, None) is not None:
            self.cancel(request_id)

    def close(self) -> None:
        """Let go of the node; who waits for it in another thread waits no longer."""
        self.is_lost = True
        if self._forks == forks.count:  # else it is the parent's, too
            with suppress(OSError):  # it was shut already
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _attach_to_master(
        self, secret: str, features: tuple[str, ...], deadline_s: float
    ) -> None:
        """Through the node at this address, if it passes on what is said."""
        self._attach(secret, (*features, TO_MASTER), deadline_s)
        url = self.attached.http_url
        self.is_passed_on = TO_MASTER in self.attached.features
        if self.is_passed_on:
            self._attach(secret, features, deadline_s)
            # The master's own API is out of reach, as it is itself.
            self.attached = msgspec.structs.replace(self.attached, http_url=url)

    def _attach(
        self, secret: str, features: tuple[str, ...], deadline_s: float
    ) -> None:
        nonce, token = secrets.token_bytes(16), read_token(secret)
        if token is not None:
            features += (TOKEN_FEATURE + token[0],)
        attach = Attach(
            CALLS_LEAST, CALLS_MOST, "python", features=features, nonce=nonce
        )
        begun_s = time.monotonic()
        # The address was chosen on this side: the larger limit costs no trust.
        self._decoder.handshake_done()
        self._send(encode(attach))
        answer = self._receive(deadline_s)
        challenge = b""
        if isinstance(answer, Challenge):
            challenge = answer.nonce
            proof = (
                attach_proof(secret, challenge, attach)
                if token is None
                else token_proof(token[1], challenge, attach)
            )
            self._send(encode(msgspec.structs.replace(attach, auth=proof)))
            answer = self._receive(deadline_s)
        if not isinstance(answer, Attached):
            raise HandshakeRefusedError(
                f"{self.address} answered Attach with {type(answer).__name__}",
                reason=ErrorCode.MALFORMED,
            )
        key = secret.encode() if token is None else sha256(token[1])
        expected = attached_proof(key, nonce, challenge, answer)
        if secret and not proves(answer.auth, expected):
            raise HandshakeRefusedError(
                f"{self.address} does not know this cluster's secret, or the token",
                reason=ErrorCode.UNAUTHORISED,
            )
        self.attached = answer
        self.round_trip_us = round((time.monotonic() - begun_s) * 1_000_000)

    def _sort(self, message: Message) -> None:
        if isinstance(message, Rows | Done | Failed):
            waiting = self._answers.get(message.request_id)
            if waiting is not None:
                waiting.append(message)

    def _receive(self, deadline_s: float | None) -> Message:
        """The next message; an Error of the node ends the link."""
        while not self._heard:
            self._heard.extend(self._decode(self._read(deadline_s)))
        message = self._heard.popleft()
        if isinstance(message, Error):
            if message.code in _FOR_GOOD:
                self.close()
                raise HandshakeRefusedError(
                    f"{self.address} refuses this client: {message.message}",
                    reason=message.code,
                )
            raise self._lost(message.message)
        return message

    def _decode(self, data: bytes) -> list[Message]:
        try:
            return self._decoder.feed(data)
        except ProtocolError as error:
            if data.startswith(HTTP):
                self.close()
                raise UnfitError(_other_port(self.address, data)) from None
            raise self._lost(str(error)) from error

    def _read(self, deadline_s: float | None) -> bytes:
        """Bytes, at least one; without a deadline as long as the node lives."""
        silent_since_s = time.monotonic()
        while True:
            self._socket.settimeout(
                PING_EVERY_S
                if deadline_s is None
                else max(0.001, deadline_s - time.monotonic())
            )
            try:
                data = self._socket.recv(READ_BYTES)
            except TimeoutError as error:
                silent_s = time.monotonic() - silent_since_s
                if deadline_s is not None or silent_s > DEAD_AFTER_S:
                    raise self._lost(f"silent for {silent_s:.1f} s") from error
                self._send(encode(Ping(0)))
            except OSError as error:
                self.close()
                raise _lost(self.address, error) from error
            else:
                if not data:
                    raise self._lost("the node closed the connection")
                return data

    def _send(self, frame: bytes) -> None:
        if self._forks != forks.count:
            raise opened_before()
        with self._sending:
            if self.is_lost:
                raise LinkLostError(f"{self.address}: the connection is closed")
            try:
                self._socket.settimeout(DEAD_AFTER_S)
                self._socket.sendall(frame)
            except OSError as error:
                self.close()
                raise _lost(self.address, error) from error

    def _lost(self, reason: str) -> LinkLostError:
        self.close()
        return LinkLostError(f"{self.address}: {reason}")


def _other_port(address: str, answer: bytes) -> str:
    """That this is an HTTP port; in the node's words, which know the right one."""
    told = ""
    with suppress(msgspec.DecodeError):
        told = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=_Told).detail
    return f"{address} speaks HTTP: " + (
        told or "nexus:// takes a node's replication.bind_addr, not its http_addr"
    )


class _Told(msgspec.Struct, frozen=True):
    """What of a refusal over HTTP is for a person."""

    detail: str


def _lost(address: str, error: OSError | ValueError) -> LinkLostError:
    if not isinstance(error, ssl.SSLError):
        return LinkLostError(f"{address}: {error}")
    kind = LinkLostError if is_passing(error) else NotTrustedError
    return kind(f"{address}: {in_words(error)}")
