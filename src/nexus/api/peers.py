"""Calls to the APIs of other nodes of this cluster, each within its time."""

from typing import Final

from nexus.api.connections import (
    ConnectionLimits,
    Connections,
    LostError,
    Received,
    UnsentError,
)
from nexus.api.facade import NodeFacade
from nexus.api.nodeurls import read_node_url
from nexus.api.security import BEARER, FORWARDED_BY, Headers, credential_for
from nexus.model.token import TokenRole

LOOK: Final = ConnectionLimits(
    connect_timeout_s=1.0, answer_timeout_s=2.0, answer_bytes=8 << 20
)
"""A node that lives tells its figures at once."""

ACT: Final = ConnectionLimits(connect_timeout_s=3.0, answer_timeout_s=600.0)
"""A snapshot of a large database takes its time."""


class PeerSilentError(Exception):
    """No answer, and why."""


class PeerRefusesError(PeerSilentError):
    """It answers, and lets this node not in."""


class Peers:
    """Keeps the connections to them."""

    def __init__(self, node: NodeFacade, limits: ConnectionLimits = LOOK) -> None:
        self._node = node
        security = node.security
        self._connections = Connections(
            limits,
            tls=lambda: security.client,
            met=security.met,
            may_be_plain=security.is_optional,
        )

    async def get(self, url: str, path: str, token: str = "") -> Received:
        """The answer to this GET; raises PeerSilentError.

        `token` is a caller's, for where no cluster secret speaks for this node.
        """
        asks = {b"authorization": BEARER + token.encode()} if token else {}
        headers = {} if self._node.config.cluster_secret else asks
        return await self._exchange("GET", url, path, b"", headers)

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
        try:
            target = read_node_url(url, speaks_tls=self._node.security.speaks_tls)
        except ValueError as error:
            raise PeerSilentError(str(error)) from None
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
