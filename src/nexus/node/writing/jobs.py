"""What waits for the writer: a job, and how its answer travels back to who waits.

Clients live in threads or in event loops. An answer for a thread releases one lock;
the answers of a whole batch for an event loop travel in one call, because waking
the loop costs more than all of them together.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

from nexus.node.writing.work import Transaction


class Job:
    """One piece of work for the writer thread; answered exactly once."""

    __slots__ = (
        "_settled",
        "_waiter",
        "_wake",
        "cancelled",
        "delivered",
        "error",
        "loop",
        "result",
        "shares",
        "since",
        "work",
    )

    def __init__(
        self,
        work: Any,
        loop: asyncio.AbstractEventLoop | None = None,
        settled: Callable[["Job"], None] | None = None,
    ) -> None:
        """Who waits is a thread, or a task of `loop`; or `settled` is called there."""
        self.work = work
        self.shares: bool = isinstance(work, Transaction) and work.foreign_keys
        """Whether it may be one of a batch: others are run alone."""
        self.since = monotonic()
        self.cancelled = False
        """Whether its client wants it interrupted; asked while it runs."""
        self._settled = settled
        self.result: Any = None
        self.error: BaseException | None = None
        self.delivered = False
        """Whether its answer is on the way."""
        self.loop = loop
        self._waiter: asyncio.Future[Any] | None = None
        self._wake: threading.Lock | None = None
        if loop is None:
            self._wake = threading.Lock()
            self._wake.acquire()
        elif settled is None:
            self._waiter = loop.create_future()

    def wait(self) -> Any:
        """Block this thread until the answer is there; returns or raises it."""
        assert self._wake is not None, "an event loop awaits `waiter` instead"
        self._wake.acquire()
        if self.error is not None:
            raise self.error
        return self.result

    @property
    def waiter(self) -> asyncio.Future[Any]:
        """What a task of the loop awaits: it returns the answer, or raises it."""
        assert self._waiter is not None, "only a task of a loop has a waiter"
        return self._waiter

    def release(self) -> None:
        """Wake the thread that waits."""
        assert self._wake is not None, "a job of an event loop has no lock"
        self._wake.release()

    def settle(self) -> None:
        """Give the answer to who waits; runs on their loop."""
        if self._settled is not None:
            self._settled(self)
            return
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self.error is not None:
            waiter.set_exception(self.error)
        else:
            waiter.set_result(self.result)


def deliver(jobs: Iterable[Job]) -> None:
    """Answer these jobs, each in the thread or loop that waits for it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        job.delivered = True
        if job.loop is None:
            job.release()
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, settled)
        except RuntimeError:
            # The loop was closed while its clients waited: nobody is there to tell.
            continue


def _settle_all(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.settle()
