"""Slow what a replica reads from its upstream down to a rate; TCP slows the sender."""

from asyncio import sleep
from dataclasses import replace
from typing import Final

from nexus.config import Config
from nexus.node.clock import now_ms
from nexus.node.network.security import TransportSecurity
from nexus.replication.timing.throttle import Throttle

READS_A_SECOND: Final = 4
"""At least so many: between two, the master seems to be silent."""


def paced(security: TransportSecurity, config: Config) -> TransportSecurity:
    """One whose connections together keep the rate that is configured, if any."""
    rate = config.replication.max_receive_rate
    if rate is None:
        return security
    throttle = Throttle(rate)

    async def pace(size: int) -> None:
        wait_ms = throttle.take(size, now_ms())
        if wait_ms:
            await sleep(wait_ms / 1_000)

    return replace(security, pace=pace, read_bytes=rate // READS_A_SECOND)
