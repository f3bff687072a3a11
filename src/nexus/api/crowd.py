"""Bounds the connections, and says who leaves where there are too many.

Whoever waits for no answer can go: of the address that most connections come from, the
oldest of those. So thousands that say nothing keep nobody else out.
"""

from typing import Protocol


class Occupant(Protocol):
    """A connection, which takes one of the places."""

    @property
    def is_idle(self) -> bool:
        """Whether no request of its caller is under way."""

    def give_way(self) -> None:
        """Close it."""


class Crowd:
    """All connections of one server; for its event loop."""

    def __init__(self, *, most: int, most_of_address: int = 0) -> None:
        """`most_of_address` 0: as many as there may be in all."""
        self.turned_away = 0
        self._most = most
        self._most_of_address = most_of_address
        self._by_address: dict[str, dict[Occupant, None]] = {}
        """In the order in which they came."""

    def enter(self, occupant: Occupant, address: str, count: int) -> str:
        """One more, of `count`; why it cannot stay, or nothing."""
        own = self._by_address.setdefault(address, {})
        own[occupant] = None
        if self._most_of_address and len(own) > self._most_of_address:
            return self._refused(f"{self._most_of_address} connections of {address}")
        if count > self._most and not self._one_leaves(occupant):
            return self._refused(f"{self._most} connections")
        return ""

    def stay(self, occupant: Occupant, address: str) -> None:
        """It was counted before, and has left as what it was then."""
        self._by_address.setdefault(address, {})[occupant] = None

    def leave(self, occupant: Occupant, address: str) -> None:
        """It is closed, or another occupant now; harmless if it was told before."""
        own = self._by_address.get(address, {})
        own.pop(occupant, None)
        if not own:
            self._by_address.pop(address, None)

    def _one_leaves(self, newcomer: Occupant) -> bool:
        crowded = max(self._by_address.values(), key=len)
        idle = (
            occupant
            for occupant in crowded
            if occupant is not newcomer and occupant.is_idle
        )
        oldest = next(idle, None)
        if oldest is None:
            return False
        del crowded[oldest]
        self.turned_away += 1
        oldest.give_way()
        return True

    def _refused(self, what: str) -> str:
        self.turned_away += 1
        return f"{what} are open"
