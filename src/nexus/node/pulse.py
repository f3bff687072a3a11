"""The pulse of a node: its role's heartbeats, and beside them the log's retention."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from nexus.node.parts import Parts

TICKS_PER_HEARTBEAT: Final = 4

LONGEST_TICK_S: Final = 1.0


class Duty(Protocol):
    """A role that a node has, as far as time is concerned."""

    def tick(self) -> None:
        """Heartbeats and deadlines."""

    async def retain(self) -> None:
        """Drop what retention no longer keeps."""


async def keep_time(parts: Parts, duty_now: Callable[[], Duty | None]) -> None:
    """Tick, for whatever role the node has just then, until cancelled."""
    settings = parts.config.replication
    period_s = settings.heartbeat_ms / 1000 / TICKS_PER_HEARTBEAT
    retaining: asyncio.Task[None] | None = None
    try:
        while True:
            await asyncio.sleep(min(period_s, LONGEST_TICK_S))
            duty = duty_now()
            if duty is None:
                continue
            duty.tick()
            too_long = parts.log.entry_count > settings.max_log_size
            if too_long and (retaining is None or retaining.done()):
                # Beside the ticks: it waits for its turn among the writes.
                retaining = asyncio.create_task(duty.retain())
    finally:
        if retaining is not None:
            retaining.cancel()
