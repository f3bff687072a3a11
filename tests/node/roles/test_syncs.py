"""The loop hears of syncs at once, then no more often than its pace."""

import asyncio
import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

from nexus.model.position import Offset
from nexus.node.roles.syncs import Paced, syncs_told
from node.builders import until

LONG_S = 1.5


async def test_the_first_one_is_told_at_once_and_those_that_follow_together() -> None:
    told: list[int] = []
    paced = Paced(asyncio.get_running_loop(), told.append, LONG_S)

    paced(Offset(1))
    await asyncio.sleep(0)
    assert told == [1]
    for offset in range(2, 100):
        paced(Offset(offset))
    await asyncio.sleep(0)
    assert told == [1]
    await until(lambda: told == [1, 99])


async def test_after_a_rest_the_next_one_wakes_the_loop_again() -> None:
    told: list[int] = []
    paced = Paced(asyncio.get_running_loop(), told.append, 0.001)

    for offset in (1, 2, 3):
        paced(Offset(offset))
        await until(partial(told.__contains__, offset))
        await asyncio.sleep(0.02)

    assert told == [1, 2, 3]


async def test_the_last_one_is_never_forgotten() -> None:
    told: list[int] = []
    paced = Paced(asyncio.get_running_loop(), told.append, 0.0001)

    def write() -> None:
        for offset in range(1, 20_001):
            paced(Offset(offset))

    for _ in range(5):
        writer = threading.Thread(target=write)
        writer.start()
        await asyncio.to_thread(writer.join)
        await until(lambda: told[-1] == 20_000)
        paced(Offset(0))
        await until(lambda: told[-1] == 0)


async def test_who_tells_after_the_loop_has_closed_is_not_in_the_way() -> None:
    loop = asyncio.new_event_loop()
    paced = Paced(loop, print, LONG_S)
    loop.close()

    paced(Offset(1))

    assert loop.is_closed()


async def test_a_reign_that_is_over_tells_the_next_one_nothing() -> None:
    told: list[int] = []
    port: Any = object()
    publisher = SimpleNamespace(machine=port, is_alone=False, stored=told.append)
    parts: Any = SimpleNamespace(publisher=publisher, loop=asyncio.get_running_loop())
    hook = syncs_told(parts, port, sync=False, elected=False)

    hook(Offset(7))
    await until(lambda: told == [7])
    hook(Offset(8))
    publisher.machine = object()
    await asyncio.sleep(0.05)

    assert told == [7]


async def test_where_no_replica_is_there_nobody_is_told() -> None:
    told: list[int] = []
    port: Any = object()
    publisher = SimpleNamespace(machine=port, is_alone=True, stored=told.append)
    parts: Any = SimpleNamespace(publisher=publisher, loop=asyncio.get_running_loop())

    syncs_told(parts, port, sync=False, elected=False)(Offset(7))
    await asyncio.sleep(0.05)

    assert told == []
