"""How long to wait before the next try: doubling, bounded, jittered."""

from collections.abc import Callable
from typing import Final

JITTER: Final = 0.25
"""A delay is shortened by up to this fraction, so that replicas do not come at once."""


class Backoff:
    """The delays of one kind of retry; `reset` after a success."""

    def __init__(
        self, *, first_ms: int, most_ms: int, random: Callable[[], float]
    ) -> None:
        """`random` returns a fraction of [0, 1); the machines have no chance inside."""
        self._first_ms = first_ms
        self._most_ms = most_ms
        self._random = random
        self._next_ms = first_ms

    def next_ms(self) -> int:
        """The delay before the next try; the one after it is twice as long."""
        delay_ms = self._next_ms
        self._next_ms = min(delay_ms * 2, self._most_ms)
        return round(delay_ms * (1 - JITTER * self._random()))

    def reset(self) -> None:
        """A try has succeeded: the next failure waits for the shortest time."""
        self._next_ms = self._first_ms
