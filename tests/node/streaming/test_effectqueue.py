"""Effects are performed one after the other, in the order in which they were asked."""

import asyncio
from contextlib import suppress

import pytest

from nexus.model.position import Offset
from nexus.node.streaming.effectqueue import EffectQueue
from nexus.protocol.messages import Pong
from nexus.replication.effects import (
    MASTER,
    Apply,
    Disconnect,
    Level,
    Report,
    Send,
    Store,
)
from nexus.replication.members.effects import MemberEffect

REPORT = Report(Level.INFO, "event", "detail")
APPLY = Apply(Offset(1))
SAID = Send(MASTER, Pong(1))
LATER = Send(MASTER, Pong(2))


async def nothing_until(over: asyncio.Event) -> None:
    """The disk is at work until then."""
    await over.wait()


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


async def test_while_the_disk_is_at_work_what_is_said_overtakes_what_it_shall_do() -> (
    None
):
    queue, done = EffectQueue(), list[MemberEffect]()
    at_work = asyncio.Event()

    async def perform(effect: MemberEffect) -> None:
        done.append(effect)
        if effect == LATER:
            at_work.set()

    queue.take((Store(()), APPLY, REPORT, SAID))
    working = asyncio.create_task(queue.meanwhile(nothing_until(at_work), perform))
    await asyncio.sleep(0)
    queue.take((LATER, Disconnect("the link ends here"), SAID))
    async with asyncio.timeout(60):
        await working

    assert done == [SAID, LATER]
    assert len(queue) == 5, "a message for the next link waits until this one is closed"


async def test_what_comes_while_the_disk_is_at_work_is_performed_afterwards() -> None:
    queue, done = EffectQueue(), list[MemberEffect]()
    at_work, all_done = asyncio.Event(), asyncio.Event()

    async def perform(effect: MemberEffect) -> None:
        done.append(effect)
        if effect == REPORT:
            await queue.meanwhile(nothing_until(at_work), perform)
        else:
            all_done.set()

    running = asyncio.create_task(queue.perform_all(perform, perform))
    queue.take((REPORT,))
    await asyncio.sleep(0)
    queue.take((APPLY,))
    at_work.set()
    async with asyncio.timeout(60):
        await all_done.wait()
    assert done == [REPORT, APPLY]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


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
