"""The loop hears of syncs at once, then no more often than its pace."""

import asyncio
import threading
from functools import partial

from nexus.model.position import Offset
from nexus.node.syncs import Paced
from node.builders import until

LONG_S = 0.3


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
