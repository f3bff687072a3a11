"""Bounds the peers that are connected and have not introduced themselves yet.

Who is expected introduces itself at once. So where there are too many strangers, the
one that has been silent the longest leaves, of the host that most of them come from: a
crowd from one host costs a replica on another one nothing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from nexus.errors import HandshakeRefusedError
from nexus.node.network.admittance import Admittance
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import Greeting, receive_hello
from nexus.protocol.messages import ErrorCode

MOST_STRANGERS: Final = 128
"""At once; each may hold a frame of 64 KiB in memory and a file descriptor."""

TELL_EVERY_S: Final = 10.0
"""One line of the log for all that were turned away meanwhile."""

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Stranger:
    host: str
    deadline: asyncio.Timeout
    turned_away: bool = False


class Door:
    """Lets strangers in, and turns away those that are too many; for one event loop."""

    def __init__(
        self,
        *,
        timeout_s: float,
        most: int = MOST_STRANGERS,
        asks_nodes: bool = False,
    ) -> None:
        """`timeout_s` is for the whole handshake; `asks_nodes` as in it."""
        self.turned_away = 0
        self._timeout_s = timeout_s
        self._most = most
        self._asks_nodes = asks_nodes
        self._strangers: dict[_Stranger, None] = {}
        """In the order in which they came."""
        self._untold = 0
        self._told_s = -TELL_EVERY_S

    async def hello(self, connection: Connection, admittance: Admittance) -> Greeting:
        """How a stranger introduces itself; raises what the two calls within raise."""
        async with self.stranger(connection.peer_host):
            return await receive_hello(
                connection,
                admittance,
                timeout_s=self._timeout_s,
                asks_nodes=self._asks_nodes,
            )

    @asynccontextmanager
    async def stranger(self, host: str) -> AsyncIterator[None]:
        """A peer from this host introduces itself within the context.

        Raises HandshakeRefusedError if it has to leave for others, TimeoutError if it
        takes too long.
        """
        async with asyncio.timeout(self._timeout_s) as deadline:
            stranger = _Stranger(host, deadline)
            self._strangers[stranger] = None
            if len(self._strangers) > self._most:
                self._turn_one_away()
            try:
                yield
            except asyncio.CancelledError:
                if stranger.turned_away:
                    raise HandshakeRefusedError(
                        f"{self._most} other peers are introducing themselves; try "
                        "again",
                        reason=ErrorCode.BUSY,
                    ) from None
                raise
            finally:
                self._strangers.pop(stranger, None)

    def _turn_one_away(self) -> None:
        hosts = Counter(stranger.host for stranger in self._strangers)
        crowded = max(hosts, key=lambda host: hosts[host])
        oldest = next(s for s in self._strangers if s.host == crowded)
        del self._strangers[oldest]
        oldest.turned_away = True
        oldest.deadline.reschedule(asyncio.get_running_loop().time())
        self.turned_away += 1
        self._untold += 1
        self._tell(crowded)

    def _tell(self, host: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= TELL_EVERY_S:
            log.warning("strangers_turned_away", count=self._untold, mostly_from=host)
            self._told_s, self._untold = now_s, 0
