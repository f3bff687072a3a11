"""Calls to the APIs of other nodes of this cluster, each within its time."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from nexus.api.connections import (
    Address,
    ConnectionLimits,
    Connections,
    LostError,
    Received,
    UnsentError,
)
from nexus.api.facade import NodeFacade
from nexus.api.forward import PORTS
from nexus.api.security import FORWARDED_BY, Headers, credential_for
from nexus.model.token import TokenRole
from nexus.node.papers import Papers

LOOK: Final = ConnectionLimits(
    connect_timeout_s=1.0, answer_timeout_s=2.0, answer_bytes=8 << 20
)
"""A node that lives tells its figures at once."""

ACT: Final = ConnectionLimits(connect_timeout_s=3.0, answer_timeout_s=600.0)
"""A snapshot of a large database takes its time."""


class PeerSilentError(Exception):
    """No answer, and why."""


@dataclass(frozen=True, slots=True)
class _Target:
    address: Address
    host: str
    path: str


class Peers:
    """Keeps the connections to them."""

    def __init__(self, node: NodeFacade, limits: ConnectionLimits = LOOK) -> None:
        self._node = node
        papers = node.papers
        self._connections = Connections(
            limits, tls=lambda: papers.client, may_be_plain=papers.is_optional
        )

    async def get(self, url: str, path: str) -> Received:
        """The answer to this GET; raises PeerSilentError."""
        return await self._exchange("GET", url, path, b"", {})

    async def post(
        self, url: str, path: str, body: bytes, headers: Headers
    ) -> Received:
        """The answer to this POST of JSON; raises PeerSilentError.

        `headers` are those of the admin's call that asks for it.
        """
        return await self._exchange("POST", url, path, body, headers)

    async def _exchange(
        self, method: str, url: str, path: str, body: bytes, headers: Headers
    ) -> Received:
        target = _target(url, self._node.papers)
        lines = [
            f"{method} {target.path}{path} HTTP/1.1",
            f"host: {target.host}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"{FORWARDED_BY.decode()}: {self._node.node_id}",
        ]
        head = "\r\n".join([*lines, ""]).encode()
        secret = self._node.config.cluster_secret
        if headers:
            head += credential_for(headers, secret, TokenRole.ADMIN)
        elif secret:  # this node asks for itself
            head += b"authorization: Bearer %b\r\n" % secret.encode()
        head += b"\r\n"
        try:
            return await self._connections.exchange(target.address, head, body)
        except (UnsentError, LostError) as error:
            raise PeerSilentError(f"{url} does not answer: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def _target(url: str, own: Papers) -> _Target:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in PORTS or not parts.hostname:
        raise PeerSilentError(f"{url!r} is no address such as http://HOST:PORT")
    if not own.may_ask(parts.scheme):
        raise PeerSilentError(
            f"{url} is not asked: this node speaks no TLS; set tls.cert_file and "
            "tls.key_file on every node, or on none"
        )
    return _Target((parts.hostname, port), parts.netloc, parts.path.rstrip("/"))
