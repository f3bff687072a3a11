"""A WebSocket on a connection that was HTTP: it stays among those that are counted.

Whoever opens it has been let in as one connection of its address, and goes on as one.
Where there are too many it gives way like the others, once it waits for no answer and
has no transaction open.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from typing_extensions import override
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)

from nexus.api.crowd import Crowd

SEAT: Final = "nexus.seat"
"""In the state of a WebSocket's scope: its connection."""


class CountedSocket(WebSocketsSansIOProtocol):
    """One WebSocket."""

    crowd: ClassVar[Crowd] = Crowd(most=1)

    def __init__(self, *, app_state: dict[str, Any], **options: Any) -> None:
        super().__init__(app_state={**app_state, SEAT: self}, **options)
        self.is_needed: Callable[[], bool] = lambda: False
        """Tells whether its client waits for something; who serves it sets this."""
        self._address = ""

    @override
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = str(self.client[0]) if self.client else ""
        self.crowd.stay(self, self._address)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leave(self, self._address)
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether it can go."""
        return not self.is_needed()

    def give_way(self) -> None:
        """Close it; its client is told that it may come again."""
        self.shutdown()
