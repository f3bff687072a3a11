"""Asks the upstream that a replica was given whether it is there again."""

import asyncio

from nexus.errors import NexusError
from nexus.node.clock import now_ms
from nexus.node.network.handshake import answer_to
from nexus.node.network.security import TransportSecurity
from nexus.node.roles.following import Following
from nexus.protocol.messages import Hello
from nexus.replication.following.homing import Homing, Reply


class Homecoming:
    """One question at a time, on connections of its own; for one event loop."""

    def __init__(self, security: TransportSecurity, *, timeout_s: float) -> None:
        self._security = security
        self._timeout_s = timeout_s
        self._asking: asyncio.Task[None] | None = None

    def tick(self, following: Following) -> None:
        """Ask, where the replica's machine says that it is time."""
        homing = following.machine.homing
        if homing is None or (self._asking is not None and not self._asking.done()):
            return
        address = homing.due(now_ms())
        if address:
            self._asking = asyncio.create_task(self._ask(following, homing, address))

    def stop(self) -> None:
        """Ask nothing more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, following: Following, homing: Homing, address: str) -> None:
        machine = following.machine
        reply = await self._reply(address, machine.hello_at(homing.offset))
        if machine.homing is not homing:
            return  # a voter by now, or another machine: it follows the master itself
        effects = homing.answered(
            reply, cluster_id=machine.cluster_id, epoch=machine.epoch, now_ms=now_ms()
        )
        following.take(effects)

    async def _reply(self, address: str, hello: Hello) -> Reply:
        try:
            return await answer_to(
                hello, address, self._security, timeout_s=self._timeout_s
            )
        except (OSError, TimeoutError, NexusError):
            return None
