"""The effects that wait for their turn: one is performed after the other.

The machine that asks for them is on the loop, what performs them may wait for a disk.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from nexus.replication.effects import Store
from nexus.replication.members.effects import MemberEffect, MemberEffects

Kind = TypeVar("Kind", bound=MemberEffect)


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

    def wakes(self) -> Coroutine[Any, Any, object]:
        """Returns when effects have come since it was called."""
        self._wake.clear()
        return self._wake.wait()

    def look_again(self) -> None:
        """Somebody else has waited for `wakes`: what came is to be performed."""
        self._wake.set()

    async def drains(self, most: int) -> None:
        """Return once no more than `most` effects wait, or all are performed."""
        if len(self._waiting) > most:
            self._drained.clear()
            await self._drained.wait()
