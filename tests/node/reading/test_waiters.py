"""Waiting for an offset: read your own write."""

import asyncio

import pytest

from nexus.model.position import Offset
from nexus.node.reading.waiters import OffsetWaiters

LONG_S = 60.0


async def test_what_is_applied_already_is_not_waited_for() -> None:
    waiters = OffsetWaiters(lambda: Offset(7))

    await waiters.wait(Offset(7), timeout_s=0)


async def test_each_wakes_when_its_own_offset_has_passed() -> None:
    waiters = OffsetWaiters(lambda: Offset(0))
    waiting = {
        offset: asyncio.create_task(waiters.wait(Offset(offset), timeout_s=LONG_S))
        for offset in (3, 1, 2, 3)
    }
    await asyncio.sleep(0)

    waiters.passed(Offset(2))
    await asyncio.gather(waiting[1], waiting[2])
    assert not waiting[3].done()

    waiters.passed(Offset(9))
    await waiting[3]


async def test_who_gives_up_leaves_nothing_behind() -> None:
    waiters = OffsetWaiters(lambda: Offset(0))

    with pytest.raises(TimeoutError):
        await waiters.wait(Offset(5), timeout_s=0.001)

    assert waiters.count == 0
