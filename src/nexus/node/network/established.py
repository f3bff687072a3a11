"""The TLS connections that stand, and the end of those whose certificate is revoked.

TLS itself looks at the list of revoked certificates in a handshake, and never again.
"""

import asyncio
import ssl

import structlog

from nexus.config import join_address
from nexus.node.network.aborting import cut_off
from nexus.tls.revoked import NOTHING, Revoked

log = structlog.get_logger(__name__)


class EstablishedConnections:
    """Those of one process, both ways; for its loop."""

    def __init__(self, revoked: Revoked = NOTHING) -> None:
        self._revoked = revoked
        self._transports: set[asyncio.WriteTransport] = set()

    @property
    def count(self) -> int:
        """How many there are, some of which may have ended meanwhile."""
        return len(self._transports)

    def add(self, transport: asyncio.WriteTransport) -> None:
        """It has shaken hands, perhaps by the list of before."""
        self._transports.add(transport)
        self._end_if_revoked(transport)

    def forget_closed(self) -> None:
        """Keep nothing of those that have ended."""
        gone = {one for one in self._transports if one.is_closing()}
        self._transports -= gone

    def revoke(self, revoked: Revoked) -> None:
        """From now on these are good no more: their connections end at once."""
        self._revoked = revoked
        self.forget_closed()
        for transport in tuple(self._transports):
            self._end_if_revoked(transport)

    def _end_if_revoked(self, transport: asyncio.WriteTransport) -> None:
        spoken: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        shown = None if spoken is None else spoken.getpeercert(binary_form=True)
        if not shown or not self._revoked.names(shown):
            return
        name = transport.get_extra_info("peername")
        peer = join_address(name[0], name[1]) if name else "unknown"
        log.warning(
            "connection_revoked",
            peer=peer,
            reason="the certificate that it has shown was revoked since",
        )
        cut_off(transport)
