"""Tasks that run beside their owner, and never outlive it."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Those of one owner; belongs to one event loop."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run this beside all else, until it ends or its owner does."""
        task = asyncio.create_task(work)
        self.add(task)
        return task

    def add(self, task: "asyncio.Task[Any]") -> None:
        """Let this end with the others, unless it ends before."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def cancel(self) -> None:
        """End all of them; they may still be ending on return."""
        for task in list(self._running):
            task.cancel()

    async def end(self) -> None:
        """End all of them, and wait until they have; whatever they raise is ignored."""
        self.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
