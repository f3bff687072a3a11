"""The effects that wait for their turn: one is performed after the other.

The machine that asks for them is on the loop, what performs them may wait for a disk.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from nexus.replication.effects import Apply, Report, Send, Store
from nexus.replication.members.effects import MemberEffect, MemberEffects

Kind = TypeVar("Kind", bound=MemberEffect)

PASSED: Final = (Store, Apply, Report)
"""What a message may overtake while the disk is at work: no connection ends there."""


class EffectQueue:
    """In order, and stopped at the first failure; belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[MemberEffect] = deque()
        self._performing = False
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is being performed."""
        return not (self._waiting or self._performing)

    def take(self, effects: MemberEffects) -> None:
        """Perform these after all that waits already."""
        if effects:
            self._waiting.extend(effects)
            self._wake.set()

    async def perform_all(
        self,
        store: Callable[[Store], Awaitable[None]],
        perform: Callable[[MemberEffect], Awaitable[None]],
    ) -> None:
        """Perform what comes, for ever; raises what an effect raised."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._performing = True
            while self._waiting:
                effect = self._waiting.popleft()
                if isinstance(effect, Store):
                    await store(effect)
                else:
                    await perform(effect)
            self._performing = False
            self._drained.set()

    def drop(self, kind: type[Kind]) -> None:
        """What waits of this kind is not wanted any more."""
        kept = [effect for effect in self._waiting if not isinstance(effect, kind)]
        self._waiting.clear()
        self._waiting.extend(kept)

    def next_if(self, kind: type[Kind]) -> Kind | None:
        """Take the next effect out, if it is of this kind."""
        if self._waiting and isinstance(self._waiting[0], kind):
            effect = self._waiting.popleft()
            assert isinstance(effect, kind), "checked just above"
            return effect
        return None

    async def meanwhile(
        self, work: Awaitable[None], perform: Callable[[Send], Awaitable[None]]
    ) -> None:
        """Let the disk work, and go on answering the master's heartbeats."""
        working = asyncio.ensure_future(work)
        try:
            while not working.done():
                waking = asyncio.create_task(self._wakes())
                while (send := self._next_to_say()) is not None:
                    await perform(send)
                await asyncio.wait(
                    {working, waking}, return_when=asyncio.FIRST_COMPLETED
                )
                waking.cancel()
            await working
        finally:
            working.cancel()
            self._wake.set()

    def _next_to_say(self) -> Send | None:
        """Take out the next message that needs nothing which waits before it.

        What a machine says is true already: it acknowledges only what is stored.
        """
        for place, effect in enumerate(self._waiting):
            if isinstance(effect, Send):
                del self._waiting[place]
                return effect
            if not isinstance(effect, PASSED):
                return None
        return None

    def _wakes(self) -> Coroutine[Any, Any, object]:
        """Returns when effects have come since it was called."""
        self._wake.clear()
        return self._wake.wait()

    async def drains(self, most: int) -> None:
        """Return once no more than `most` effects wait, or all are performed."""
        if len(self._waiting) > most:
            self._drained.clear()
            await self._drained.wait()
