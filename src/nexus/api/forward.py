"""Pass a replica's request on to its master, and its answer back as it is."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from nexus.api.connections import (
    Address,
    ConnectionLimits,
    Connections,
    LostError,
    Received,
    UnsentError,
)
from nexus.api.facade import NodeFacade
from nexus.api.longanswers import PIECE_BYTES, LongAnswer, Streams
from nexus.api.nodeurls import read_node_url
from nexus.api.refusals import AnswerLostError
from nexus.api.security import FORWARDED_BY, credential_for
from nexus.errors import NoMasterError, ReadOnlyReplicaError
from nexus.model.cluster import Role
from nexus.model.token import TokenRole

OFFSET: Final = b"nexus-offset"
"""In answers: where the last write of a stream stands in the log."""

EPOCH: Final = b"nexus-epoch"
"""Beside it: the reign in which it was written."""

PASSED_UP_BY: Final = b"nexus-passed-up-by"
"""Beside it: the replicas that passed the write to the replica that they follow."""

_DEFAULT_LIMITS: Final = ConnectionLimits()

_PASSED_BACK: Final = frozenset(
    (b"content-type", b"retry-after", b"www-authenticate", OFFSET, EPOCH)
)


@dataclass(frozen=True, slots=True)
class MasterApi:
    """Where the master's API is."""

    url: str
    address: Address
    head: bytes
    """Of a request, with %b for its path and for what the caller is let in by, and %d
    for the length of its body."""


class Forwarder:
    """Sends writes to the master over connections that are kept for the next ones."""

    def __init__(
        self, node: NodeFacade, limits: ConnectionLimits = _DEFAULT_LIMITS
    ) -> None:
        self._node = node
        self._limits = limits
        self._streams = 0
        """Answers that are still read."""
        security = node.security
        self._connections = Connections(
            limits,
            self._gone,
            lambda: security.client,
            met=security.met,
            may_be_plain=security.is_optional,
        )
        self._master = MasterApi("", ("", 0), b"")

    async def forward(
        self,
        error: ReadOnlyReplicaError,
        headers: Mapping[bytes, bytes],
        body: bytes,
        path: str = "/sql",
    ) -> Response:
        """The master's answer to this POST.

        Raises NoMasterError where nothing was sent, AnswerLostError where the write
        may have been done.
        """
        with self._said_of(self._require_master(error, headers)) as master:
            head = self._head(master, headers, body, path)
            answer = await self._connections.exchange(master.address, head, body)
        self._node.measures.forwarded["answered"] += 1
        return passed_back(answer)

    async def stream(
        self,
        error: ReadOnlyReplicaError,
        headers: Mapping[bytes, bytes],
        body: bytes,
        path: str,
    ) -> LongAnswer:
        """The same for an answer of any length; whoever takes it closes it."""
        with self._said_of(self._require_master(error, headers)) as master:
            head = self._head(master, headers, body, path)
            if self._streams >= self._limits.connections:
                raise UnsentError(f"{self._streams} cursors are read from it already")
            self._streams += 1
            try:
                answer = LongAnswer(
                    await self._connections.reach(self._over, master.address),
                    self._limits,
                    self._gone,
                    self._stream_ended,
                )
            except BaseException:
                self._stream_ended()
                raise
            await answer.ask(head + body)
        self._node.measures.forwarded["answered"] += 1
        return answer

    async def _over(self, tls: ssl.SSLContext | None, address: Address) -> Streams:
        streams = await asyncio.open_connection(*address, ssl=tls, limit=PIECE_BYTES)
        self._node.security.met(streams[1].transport)
        return streams

    def _stream_ended(self) -> None:
        self._streams -= 1

    def _require_master(
        self, error: ReadOnlyReplicaError, headers: Mapping[bytes, bytes]
    ) -> MasterApi:
        """Where the write goes; NoMasterError where it would go round in a circle."""
        if FORWARDED_BY in headers and PASSED_UP_BY not in headers:
            raise NoMasterError(
                f"{headers[FORWARDED_BY].decode('latin-1')} passed this write on to "
                f"{self._node.node_id}, a replica: the roles are changing"
            )
        if not error.master_url:
            raise NoMasterError(
                f"{error}; it cannot be passed on either: the master's HTTP address is "
                "not known here"
            )
        passed_up = _passed_up(headers)
        if self._node.node_id in passed_up.split(","):
            raise NoMasterError(
                f"this write has come back to this node ({passed_up}): its replicas "
                "follow each other; nothing happened"
            )
        if self._master.url != error.master_url:
            self._master = self._master_at(error.master_url)
        return self._master

    def _head(
        self, master: MasterApi, headers: Mapping[bytes, bytes], body: bytes, path: str
    ) -> bytes:
        secret = self._node.config.cluster_secret
        credential = credential_for(headers, secret, TokenRole.WRITE)
        named = credential + self._passed_by(_passed_up(headers))
        return master.head % (path.encode(), named, len(body))

    @contextmanager
    def _said_of(self, master: MasterApi) -> Iterator[MasterApi]:
        """Say of what goes wrong whether anything may have happened."""
        forwarded = self._node.measures.forwarded
        try:
            yield master
        except UnsentError as failure:
            forwarded["unsent"] += 1
            raise NoMasterError(
                f"the master at {master.url} cannot be reached ({failure})"
            ) from failure
        except LostError as failure:
            forwarded["lost"] += 1
            raise AnswerLostError(
                f"the write was passed on to the master at {master.url}, but no answer "
                f"came back ({failure}): it may be done or not"
            ) from failure

    def _passed_by(self, passed_up: str) -> bytes:
        """The header that lets a replica pass the write on, if this follows one."""
        status = self._node.status()
        if status.upstream_id in {"", status.master_id}:
            return b""
        everybody = f"{passed_up},{status.node_id}" if passed_up else status.node_id
        return b"%b: %b\r\n" % (PASSED_UP_BY, everybody.encode("latin-1", "replace"))

    def _gone(self) -> str:
        """Why a master that has not answered yet will not: it stands still, say.

        This node's own link to it tells: it is silent for a dead-time, or another one
        reigns. A paused process keeps its connections, and would be waited for.
        """
        status = self._node.status()
        if status.role not in (Role.REPLICA, Role.WITNESS):
            return "this node is the master now"
        if not status.connected:
            return "this node has lost its master meanwhile"
        if status.master_url.rstrip("/") != self._master.url.rstrip("/"):
            return f"the master is at {status.master_url} now"
        return ""

    def _master_at(self, url: str) -> MasterApi:
        try:
            target = read_node_url(url, speaks_tls=self._node.security.speaks_tls)
        except ValueError as error:
            raise NoMasterError(f"the master cannot be called: {error}") from None
        lines = [
            f"host: {target.host}",
            "content-type: application/json",
            f"{FORWARDED_BY.decode()}: {self._node.node_id}",
        ]
        head = "\r\n".join(lines).replace("%", "%%").encode()
        start = f"POST {target.path.replace('%', '%%')}%b HTTP/1.1\r\n"
        length = b"\r\n%bcontent-length: %d\r\n\r\n"
        return MasterApi(url, target.address, start.encode() + head + length)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def _passed_up(headers: Mapping[bytes, bytes]) -> str:
    return headers.get(PASSED_UP_BY, b"").decode("latin-1")


def passed_back(answer: Received) -> Response:
    """What another node has answered, with the headers that concern callers."""
    response = Response(answer.body, status_code=answer.status)
    response.raw_headers.extend(
        header for header in answer.headers if header[0] in _PASSED_BACK
    )
    return response
