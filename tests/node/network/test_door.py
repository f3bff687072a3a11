"""Peers that have not introduced themselves are few, and none stands in the way."""

import asyncio
import gc
import tracemalloc
from collections.abc import Sequence
from contextlib import ExitStack

import pytest
import structlog.testing

from nexus.errors import HandshakeRefusedError
from nexus.node.network import door as door_module
from nexus.node.network.connection import Connection
from nexus.node.network.door import MOST_STRANGERS, Door
from nexus.protocol.messages import Error, ErrorCode
from node.builders import Crowd, address_of, caught_up, run

CROWD = 2_000
MEMORY_LIMIT = 32 << 20


class Visit:
    """A stranger that says nothing."""

    def __init__(self, door: Door, host: str) -> None:
        self.end = ""
        self.task = asyncio.create_task(self._stay(door, host))

    async def _stay(self, door: Door, host: str) -> None:
        try:
            async with door.stranger(host):
                await asyncio.Event().wait()
        except (HandshakeRefusedError, TimeoutError) as error:
            self.end = type(error).__name__
        except asyncio.CancelledError:
            self.end = "stopped"


async def visits(door: Door, *hosts: str) -> list[Visit]:
    found = []
    for host in hosts:
        found.append(Visit(door, host))
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    return found


def ends(found: Sequence[Visit]) -> list[str]:
    return [visit.end for visit in found]


async def test_the_stranger_that_came_first_leaves_for_one_too_many() -> None:
    door = Door(timeout_s=60.0, most=2)

    found = await visits(door, "a", "a", "a", "a")

    assert ends(found) == ["HandshakeRefusedError"] * 2 + [""] * 2
    assert door.turned_away == 2
    for visit in found:
        visit.task.cancel()
    await asyncio.wait([visit.task for visit in found])
    assert ends(found)[2:] == ["stopped"] * 2


async def test_a_crowd_of_one_host_costs_another_host_nothing() -> None:
    door = Door(timeout_s=60.0, most=3)

    found = await visits(door, "rare", *["many"] * 6)

    assert ends(found) == ["", *["HandshakeRefusedError"] * 4, "", ""]
    for visit in found:
        visit.task.cancel()


async def test_who_takes_too_long_leaves_and_its_place_is_free() -> None:
    door = Door(timeout_s=0.01, most=1)

    first = await visits(door, "a")
    await asyncio.wait([first[0].task])
    second = await visits(door, "a")
    await asyncio.wait([second[0].task])

    assert ends([*first, *second]) == ["TimeoutError"] * 2
    assert door.turned_away == 0


async def test_who_has_introduced_itself_is_no_stranger_any_more() -> None:
    door = Door(timeout_s=60.0, most=1)

    for _ in range(3):
        async with door.stranger("a"):
            await asyncio.sleep(0)

    assert door.turned_away == 0


async def test_a_crowd_is_told_of_in_few_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with structlog.testing.capture_logs() as lines:
        found = await visits(Door(timeout_s=60.0, most=1), *["a"] * 9)
        monkeypatch.setattr(door_module, "TELL_EVERY_S", 0.0)
        found += await visits(Door(timeout_s=60.0, most=1), *["b"] * 3)

    counts = [(line["mostly_from"], line["count"]) for line in lines]
    assert counts == [("a", 1), ("b", 1), ("b", 1)]
    for visit in found:
        visit.task.cancel()


async def test_thousands_that_say_nothing_keep_no_replica_out(crowd: Crowd) -> None:
    master = await crowd.node("master", replication__connect_timeout_ms=600_000)
    await run(master, "create table t(v)")
    host, port = address_of(master).rsplit(":", 1)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    with ExitStack() as stack:
        stack.callback(tracemalloc.stop)
        idle = []
        for _ in range(CROWD):
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.transport.abort)
            writer.write(b"\x01")  # half a frame
            idle.append((reader, writer))
        replica = await crowd.replica("replica", master)
        await caught_up(replica, await run(master, "insert into t values (1)"))

        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
        rejected = master.master_stats().rejected_connections
        first = Connection(*idle[0])
        (said,) = await first.receive()
        await first.close()

    assert rejected >= CROWD - MOST_STRANGERS
    assert used < MEMORY_LIMIT
    assert isinstance(said, Error)
    assert said.code == ErrorCode.BUSY
