"""What a node proves itself with: the cluster's secret, with TLS its certificate."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ssl import SSLContext

from nexus.config import Config
from nexus.node.network.connection import READ_BYTES, Connection, PlainPeerError
from nexus.node.network.credentials import Credentials


@dataclass(frozen=True, slots=True)
class TransportSecurity:
    """One pair for all connections of a process."""

    secret: str = ""
    """Empty: nothing is proven by it."""
    credentials: Credentials | None = None
    """None: both ports speak plainly."""
    is_optional: bool = False
    """Whether who speaks plainly is served too, and dialled where TLS is not spoken."""
    pace: Callable[[int], Awaitable[None]] | None = None
    """What is read of connections that are dialled waits for it."""
    read_bytes: int = READ_BYTES
    """The most that one read of such a connection takes, and waits for."""

    @classmethod
    def of(cls, config: Config) -> "TransportSecurity":
        """As the configuration says; ConfigurationError for files of no use."""
        is_optional = config.tls.mode == "optional"
        return cls(config.cluster_secret, Credentials.of(config.tls), is_optional)

    @property
    def asks_nodes(self) -> bool:
        """Whether a node has to show a certificate."""
        if self.credentials is None or self.is_optional:
            return False
        return self.credentials.asks_nodes

    @property
    def client(self) -> SSLContext | None:
        """What this node connects to others with just now; None: plainly."""
        return None if self.credentials is None else self.credentials.client

    @property
    def scheme(self) -> str:
        """What the URL of its API begins with: what every node can make use of."""
        return "http" if self.credentials is None or self.is_optional else "https"

    @property
    def speaks_tls(self) -> bool:
        """Whether this node can speak to an API whose URL begins with https."""
        return self.credentials is not None

    async def dial(self, address: str, *, timeout_s: float) -> Connection:
        """Connect to another node's port; raises OSError or TimeoutError."""
        try:
            connection = await Connection.open(
                address, timeout_s=timeout_s, tls=self.client
            )
        except PlainPeerError:
            if not self.is_optional:
                raise
            connection = await Connection.open(address, timeout_s=timeout_s)
        self.met(connection.transport)
        connection.pace = self.pace
        connection.read_bytes = min(self.read_bytes, READ_BYTES)
        return connection

    def met(self, transport: asyncio.WriteTransport) -> None:
        """A connection stands: it ends when its other side's certificate is revoked."""
        if self.credentials is not None:
            self.credentials.met(transport)
