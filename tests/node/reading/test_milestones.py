"""Waiting for an offset: read your own write."""

import asyncio

import pytest

from nexus.model.position import Offset
from nexus.node.reading.milestones import Milestones

LONG_S = 60.0


async def test_what_is_applied_already_is_not_waited_for() -> None:
    milestones = Milestones(lambda: Offset(7))

    await milestones.wait(Offset(7), timeout_s=0)


async def test_each_wakes_when_its_own_offset_has_passed() -> None:
    milestones = Milestones(lambda: Offset(0))
    waiting = {
        offset: asyncio.create_task(milestones.wait(Offset(offset), timeout_s=LONG_S))
        for offset in (3, 1, 2, 3)
    }
    await asyncio.sleep(0)

    milestones.passed(Offset(2))
    await asyncio.gather(waiting[1], waiting[2])
    assert not waiting[3].done()

    milestones.passed(Offset(9))
    await waiting[3]


async def test_who_gives_up_leaves_nothing_behind() -> None:
    milestones = Milestones(lambda: Offset(0))

    with pytest.raises(TimeoutError):
        await milestones.wait(Offset(5), timeout_s=0.001)

    assert milestones.count == 0
