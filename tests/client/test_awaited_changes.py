"""A feed for tasks: nothing is lost, nothing is read too far, no thread is left."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typing_extensions import override

from nexus.client.awaited_changes import AHEAD, Changes
from nexus.errors import NotAppliedError
from nexus.model.change import Change


def change(offset: int) -> Change:
    return Change(op="insert", id=f"1:{offset}@h", epoch=1, offset=offset)


class Endless(Iterator[Change]):
    """Changes for ever, as fast as they are taken, each after what `wait` waits for."""

    def __init__(
        self, wait: Callable[[], Any] = lambda: None, last: int | None = None
    ) -> None:
        self.given = 0
        self.stopped = threading.Event()
        self.reads = threading.Event()
        self.thread: threading.Thread | None = None
        self._wait = wait
        self._last = last

    @override
    def __next__(self) -> Change:
        self.thread = threading.current_thread()
        self.reads.set()
        self._wait()
        if self.stopped.is_set() or self.given == self._last:
            raise StopIteration
        self.given += 1
        return change(self.given)

    def stop(self) -> None:
        self.stopped.set()


def awaited(feed: Any) -> Changes:
    async def opened() -> Any:
        return feed

    return Changes(opened)


async def test_changes_come_in_order_and_not_far_ahead() -> None:
    feed = Endless()
    async with awaited(feed) as changes:
        found = [await anext(changes) for _ in range(AHEAD * 2)]

        assert [each.offset for each in found] == list(range(1, AHEAD * 2 + 1))
        assert feed.given <= AHEAD * 3 + 1
    assert feed.thread is not None
    feed.thread.join(10)
    assert not feed.thread.is_alive()


async def test_what_ends_the_feed_is_told_and_it_is_over() -> None:
    class Fails(Endless):
        @override
        def __next__(self) -> Change:
            if self.given:
                raise NotAppliedError("behind")
            return super().__next__()

    failing, ending = awaited(Fails()), awaited(Endless(last=1))

    assert [each.offset async for each in ending] == [1]
    assert (await anext(failing)).offset == 1
    with pytest.raises(NotAppliedError):
        await anext(failing)
    assert [each async for each in failing] == []


async def test_a_task_that_is_cancelled_loses_no_change() -> None:
    more = threading.Event()
    changes = awaited(Endless(lambda: more.wait(20)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(changes)
    more.set()

    assert (await anext(changes)).offset == 1
    await changes.aclose()


async def test_closing_ends_whoever_waits() -> None:
    feed = Endless(lambda: feed.stopped.wait(20))
    changes = awaited(feed)
    waiting = asyncio.create_task(anext(changes))
    assert await asyncio.to_thread(feed.reads.wait, 20)
    await changes.aclose()

    with pytest.raises(StopAsyncIteration):
        await waiting
    unread = awaited(Endless())
    await unread.aclose()
    assert [each async for each in unread] == []


async def test_a_feed_that_is_let_go_of_is_stopped() -> None:
    feed = Endless()
    changes = awaited(feed)
    await anext(changes)
    del changes
    gc.collect()

    assert feed.thread is not None
    feed.thread.join(10)
    assert not feed.thread.is_alive()


def test_the_thread_ends_with_the_loop() -> None:
    more = threading.Event()
    feed = Endless(lambda: feed.given and more.wait(20))

    async def begin() -> Changes:
        changes = awaited(feed)
        await anext(changes)
        return changes

    changes = asyncio.run(begin())
    more.set()
    assert feed.thread is not None
    feed.thread.join(10)

    assert not feed.thread.is_alive()
    assert not changes._is_over
