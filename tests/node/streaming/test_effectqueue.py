"""Effects are performed one after the other, in the order in which they were asked."""

import asyncio
from contextlib import suppress

import pytest

from nexus.model.position import Offset
from nexus.node.streaming.effectqueue import EffectQueue
from nexus.replication.effects import Apply, Level, Report, Store
from nexus.replication.members.effects import MemberEffect

REPORT = Report(Level.INFO, "event", "detail")
APPLY = Apply(Offset(1))


async def test_effects_keep_their_order_whatever_they_wait_for() -> None:
    queue, done = EffectQueue(), list[MemberEffect]()

    async def perform(effect: MemberEffect) -> None:
        await asyncio.sleep(0)
        done.append(effect)

    running = asyncio.create_task(queue.perform_all(perform, perform))
    queue.take((APPLY, Store(())))
    queue.take((REPORT,))
    assert not queue.is_idle
    await queue.drains(most=0)
    assert done == [APPLY, Store(()), REPORT]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_the_first_failure_ends_it_with_the_rest_undone() -> None:
    queue = EffectQueue()

    async def fail(effect: MemberEffect) -> None:
        raise RuntimeError(str(effect))

    queue.take((APPLY, REPORT))
    with pytest.raises(RuntimeError, match="Apply"):
        await queue.perform_all(fail, fail)
    assert len(queue) == 1


async def test_only_the_next_effect_is_taken_out_of_turn() -> None:
    queue = EffectQueue()
    queue.take((APPLY, REPORT))
    assert queue.next_if(Report) is None
    assert queue.next_if(Apply) == APPLY
    assert queue.next_if(Report) == REPORT
    assert queue.next_if(Report) is None


async def test_who_waits_for_effects_misses_none_that_come_meanwhile() -> None:
    queue = EffectQueue()
    waking = queue.wakes()
    queue.take((APPLY,))
    async with asyncio.timeout(60):
        await waking
    waiting = asyncio.create_task(queue.wakes())
    await asyncio.sleep(0)
    queue.look_again()
    async with asyncio.timeout(60):
        await waiting


async def test_what_is_not_wanted_is_dropped_and_the_rest_keeps_order() -> None:
    queue, done = EffectQueue(), list[MemberEffect]()

    async def perform(effect: MemberEffect) -> None:
        done.append(effect)

    queue.take((APPLY, REPORT, APPLY, Store(())))
    queue.drop(Apply)
    running = asyncio.create_task(queue.perform_all(perform, perform))
    await queue.drains(most=0)

    assert done == [REPORT, Store(())]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
