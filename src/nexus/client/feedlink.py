"""One answer to GET /changes, as changes and as errors of Nexus's own."""

import contextlib
import math
import socket
import ssl
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec

from nexus.client.jsonvalues import read_value
from nexus.errors import (
    ChangesGoneError,
    NexusError,
    NodeUnreachableError,
    PositionLostError,
    ProtocolError,
    RequestError,
)
from nexus.model.change import Change
from nexus.protocol.failures import KINDS, error_like
from nexus.tls.words import reason_of

CONNECT_TIMEOUT_S: Final = 5.0

LEAST_HEARTBEAT_S: Final = 0.1
"""Whatever is asked for: a node sends none more often."""

MISSED_HEARTBEATS: Final = 3
"""After so many a node counts as dead."""

MOST_LINE_BYTES: Final = 1 << 30
"""Of one change: SQLite's longest values, written as base64, are far beyond sense."""

Query = Sequence[tuple[str, str | int]]


class Problem(msgspec.Struct, frozen=True):
    """What a node tells instead of changes, or at their end."""

    code: str
    detail: str
    status: int = 0
    oldest_offset: int = 0
    resume_from: str = ""

    def as_error(self) -> NexusError:
        """The error that the node has raised."""
        if self.code == ChangesGoneError.code:
            return ChangesGoneError(self.detail, oldest_offset=self.oldest_offset)
        if self.code == PositionLostError.code:
            return PositionLostError(self.detail, resume_from=self.resume_from)
        is_mine = HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.CONFLICT
        unknown = RequestError if is_mine else NexusError
        return error_like(KINDS.get(self.code, unknown), self.detail)


_change_of: Final = msgspec.json.Decoder(Change).decode
_problem_of: Final = msgspec.json.Decoder(Problem).decode


class FeedLink:
    """Connections to one node after another."""

    def __init__(
        self, secret: str, heartbeat_s: float, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls` is for https; None: this machine's CAs are trusted."""
        self._silence_s = max(heartbeat_s, LEAST_HEARTBEAT_S) * MISSED_HEARTBEATS
        # No proxy from the environment: a node's address is an address, and a proxy
        # would see the secret.
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {secret}"} if secret else {},
            timeout=httpx.Timeout(CONNECT_TIMEOUT_S, read=self._silence_s),
            verify=True if tls is None else tls,
            trust_env=False,
        )
        self._response: httpx.Response | None = None

    def open(
        self, url: str, query: Query, timeout_s: float = math.inf
    ) -> Iterator[Change]:
        """The changes that this node tells, heartbeats too, until it ends by itself.

        It has begun to answer within the timeout, or sooner.
        Raises NodeUnreachableError, here or when the connection breaks, and the node's
        own errors.
        """
        self.leave()
        try:
            request = self._client.build_request(
                "GET",
                f"{url}/changes",
                params=list(query),
                timeout=httpx.Timeout(
                    min(CONNECT_TIMEOUT_S, timeout_s),
                    read=min(self._silence_s, timeout_s),
                ),
            )
            self._response = response = self._client.send(request, stream=True)
            # From here on the node says something at each heartbeat.
            request.extensions["timeout"]["read"] = self._silence_s
            if not response.is_success:
                raise _refusal(url, response.read())
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _unreachable(url, error) from None
        return _told(url, response)

    def known_nodes(self, url: str) -> list[str]:
        """The other nodes that this one knows of; none where it does not tell."""
        found = []
        try:
            status = self._client.get(f"{url}/replication/status").json()
            found.append(status["master_url"])
            replicas = self._client.get(f"{url}/replication/replicas").json()
            found += [each["http_url"] for each in replicas.get("replicas", [])]
        except (httpx.TransportError, ValueError, LookupError, AttributeError):
            pass
        return [each for each in found if isinstance(each, str) and each]

    def break_off(self) -> None:
        """End the answer that is read, from any thread: its next line never comes."""
        response = self._response
        if response is None:
            return
        stream = response.extensions.get("network_stream")
        if stream is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Close the connection that is open."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def close(self) -> None:
        """Let go of everything."""
        self.leave()
        self._client.close()


def _told(url: str, response: httpx.Response) -> Iterator[Change]:
    try:
        for line in _lines(response):
            yield _read_line(line)
    except (httpx.TransportError, httpx.StreamError) as error:
        raise _unreachable(url, error) from None


def _lines(response: httpx.Response) -> Iterator[bytes]:
    """Whole ones: what a broken connection leaves of the last one is none."""
    rest = bytearray()
    for piece in response.iter_raw():
        rest += piece
        if b"\n" in piece:
            *lines, last = bytes(rest).split(b"\n")
            yield from lines
            rest = bytearray(last)
        elif len(rest) > MOST_LINE_BYTES:
            raise ProtocolError(f"a line has more than {MOST_LINE_BYTES} bytes")


def _read_line(line: bytes) -> Change:
    try:
        change = _change_of(line)
    except msgspec.ValidationError:
        raise _problem(line).as_error() from None
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a change is no JSON: {error}") from None
    if b'{"$' not in line:
        return change
    key, old, new = map(_read_row, (change.key, change.old, change.new))
    return msgspec.structs.replace(change, key=key, old=old, new=new)


def _problem(line: bytes) -> Problem:
    try:
        return _problem_of(line)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"neither a change nor a problem came: {error}") from None


def _read_row(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    return {name: read_value(value) for name, value in row.items()}


def _refusal(url: str, body: bytes) -> NexusError:
    try:
        return _problem_of(body).as_error()
    except msgspec.DecodeError:
        return NodeUnreachableError(f"{url} does not answer like a node")


def _unreachable(url: str, error: Exception) -> NodeUnreachableError:
    return NodeUnreachableError(f"{url} does not answer ({reason_of(error)})")
