"""Tell the loop how far the log is synced: at once, or at most so often.

To wake the loop takes the interpreter from the client that commits. Where nobody waits
for a replica's answer, the loop need not hear of every sync: the first one wakes it,
those that follow soon are told together.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from nexus.model.position import NO_OFFSET, Offset
from nexus.node.parts import Parts
from nexus.node.streaming.adapters import MasterAdapter
from nexus.replication.master import Master

SYNCS_PACE_S: Final = 0.005
"""By so much more a replica may lag."""


class Paced:
    """Calls `tell` on the loop with the newest offset, never twice within the pace."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[Offset], None],
        pace_s: float,
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._pace_s = pace_s
        self._newest = self._told = NO_OFFSET
        self._is_due = False
        """Whether the loop will look at `_newest` by itself."""
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, offset: Offset) -> None:
        """The log is durable up to here; from another thread."""
        self._newest = offset
        if not self._is_due and not self._loop.is_closed():
            self._is_due = True
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        if self._timer is not None:
            return  # it looks again when that is over
        self._told = self._newest
        self._timer = self._loop.call_later(self._pace_s, self._rest)
        self._tell(self._told)

    def _rest(self) -> None:
        self._timer = None
        # In this order: what is synced meanwhile is seen here, or wakes the loop.
        self._is_due = False
        if self._newest != self._told:
            self._is_due = True
            self._look()


def syncs_told(
    parts: Parts, port: Master | MasterAdapter, *, sync: bool, elected: bool
) -> Callable[[Offset], None]:
    """The hook for a sync of the log, of one reign.

    In sync mode clients wait for what replicas answer; and a reign that voters gave may
    come to that mode. There the loop hears of each at once.
    """
    publisher = parts.publisher

    def stored(offset: Offset) -> None:
        if publisher.machine is port:  # a pace later the reign may be another
            publisher.stored(offset)

    soon = (
        parts.on_loop(publisher.stored)
        if sync or elected
        else Paced(parts.loop, stored, SYNCS_PACE_S)
    )

    def told(offset: Offset) -> None:
        if elected or not publisher.is_alone:
            soon(offset)

    return told
