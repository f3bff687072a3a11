"""Voters whose lines take longer for one entry than a master may be silent."""

import asyncio
import socket

import pytest

from nexus.node.network.connection import Connection
from nexus.node.network.security import TransportSecurity
from node.builders import DEAD_TIME_S, Crowd, caught_up, count, run
from node.electing import CREATE, master_among, voters

RATE = 4 << 20
"""Bytes a second that get to each node that has dialled."""

ENTRY_BYTES = int(1.5 * DEAD_TIME_S * RATE)

BUFFER_BYTES = 64 << 10
"""What waits in such a line itself."""


async def test_voters_on_slow_lines_take_a_large_entry_from_one_master(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    dial = TransportSecurity.dial

    async def dial_over_a_thin_line(
        self: TransportSecurity, address: str, *, timeout_s: float
    ) -> Connection:
        connection = await dial(self, address, timeout_s=timeout_s)
        line: socket.socket = connection.transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)

        async def pace(size: int) -> None:
            await asyncio.sleep(size / RATE)

        connection.pace = pace
        return connection

    monkeypatch.setattr(TransportSecurity, "dial", dial_over_a_thin_line)
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    epoch = master.status().epoch

    last = await run(master, f"insert into t values (randomblob({ENTRY_BYTES}))")

    for node in nodes:
        await caught_up(node, last)
        assert await count(node) == 1
    assert (master.status().epoch, last.epoch) == (epoch, epoch)
