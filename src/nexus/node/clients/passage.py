"""Clients whose bytes a replica passes on to the master, and the answers back.

For a client that reaches this node and not the master. It attaches to the master
itself, through here: what it proves, asks and is told is between those two.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from nexus.model.token import Principal
from nexus.node.duty import CurrentDuty
from nexus.node.network.aborting import cut_off
from nexus.node.network.connection import Connection
from nexus.node.network.port import Visitor
from nexus.node.roles.following import Following

DIAL_TIMEOUT_S: Final = 1.0
"""For the master's port: the client could ask another node meanwhile."""

STUCK_S: Final = 60.0
"""Who reads nothing for so long is cut off."""

LOOK_EVERY_S: Final = 0.25
"""Between two looks whether this node still follows the master that it passes to."""


class Passages:
    """Those of one database of this node; for its loop."""

    def __init__(self, duties: CurrentDuty) -> None:
        self._duties = duties
        self._passed: dict[Connection, Principal] = {}

    @property
    def count(self) -> int:
        """How many clients are passed on."""
        return len(self._passed)

    def count_of(self, host: str) -> int:
        """How many of them come from this host."""
        return sum(client.peer_host == host for client in self._passed)

    async def reach_master(self) -> Connection | None:
        """A connection to the master that this node follows; None: there is none."""
        address = self._followed()
        if not address:
            return None
        security = self._duties.parts.port.security
        with suppress(OSError):
            return await security.dial(address, timeout_s=DIAL_TIMEOUT_S)
        return None

    async def pass_on(self, visitor: Visitor, master: Connection) -> None:
        """What either says, until one of them ends, or the master is one no more."""
        client = visitor.connection
        self._passed[client] = visitor.principal
        try:
            await _first_of(
                _pass(client, master),
                _pass(master, client),
                self._until_left(self._followed()),
            )
        finally:
            del self._passed[client]
            await master.close()

    def see_off(self, admits: Callable[[Principal], bool]) -> None:
        """Cut off who would not be let in now."""
        for client, principal in self._passed.items():
            if not admits(principal):
                cut_off(client.transport)

    def _followed(self) -> str:
        """The master's address, if this node hears from it."""
        acting = self._duties.acting
        if isinstance(acting, Following) and acting.machine.is_connected:
            return acting.machine.master_addr
        return ""

    async def _until_left(self, address: str) -> None:
        while self._followed() == address:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(LOOK_EVERY_S)


async def _pass(source: Connection, sink: Connection) -> None:
    """Pass on what comes, at the pace at which it is read."""
    with suppress(OSError):
        while data := await source.receive_bytes():
            sink.send_bytes(data)
            async with asyncio.timeout(STUCK_S):
                await sink.drain()


async def _first_of(*ways: Coroutine[Any, Any, None]) -> None:
    """Wait until one of them is done; the others are cancelled."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
