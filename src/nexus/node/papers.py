"""What a node proves itself with: the cluster's secret, with TLS its certificate."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ssl import SSLContext

from nexus.config import Config
from nexus.node.connection import Connection
from nexus.node.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Papers:
    """One pair for all connections of a process."""

    secret: str = ""
    """Empty: nothing is proven by it."""
    credentials: Credentials | None = None
    """None: both ports speak plainly."""
    pace: Callable[[int], Awaitable[None]] | None = None
    """What is read of connections that are dialled waits for it."""

    @classmethod
    def of(cls, config: Config) -> "Papers":
        """As the configuration says; ConfigurationError for files of no use."""
        return cls(config.cluster_secret, Credentials.of(config.tls))

    @property
    def asks_nodes(self) -> bool:
        """Whether a node has to show a certificate."""
        return self.credentials is not None and self.credentials.asks_nodes

    @property
    def client(self) -> SSLContext | None:
        """What this node connects to others with just now; None: plainly."""
        return None if self.credentials is None else self.credentials.client

    @property
    def scheme(self) -> str:
        """What the URL of its API begins with."""
        return "http" if self.credentials is None else "https"

    async def dial(self, address: str, *, timeout_s: float) -> Connection:
        """Connect to another node's port; raises OSError or TimeoutError."""
        connection = await Connection.open(
            address, timeout_s=timeout_s, tls=self.client
        )
        connection.pace = self.pace
        return connection
