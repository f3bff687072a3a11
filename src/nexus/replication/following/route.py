"""Where a replica looks for its master, and when it tries again."""

from collections.abc import Iterable

from nexus.replication.effects import Connect
from nexus.replication.timing.backoff import Backoff


class Route:
    """The configured addresses in turn, and the one that another node pointed to."""

    def __init__(
        self, addresses: tuple[str, ...], backoff: Backoff, first_tries: int = 1
    ) -> None:
        assert addresses, "a replica needs an address to begin with"
        self._configured = self._addresses = addresses
        self._first_tries = self._tries_left = first_tries
        self._backoff = backoff
        self._index = 0
        self.home = addresses[0]
        """The one that it was given first."""
        self.target = addresses[0]

    def now(self) -> Connect:
        """To the same address, at once."""
        return Connect(self.target, 0)

    def after_failure(self) -> Connect:
        """To the next configured address, when the backoff says so."""
        if self.target == self._addresses[0] and self._tries_left > 1:
            self._tries_left -= 1
            self._index = 0  # it may have come back to it out of turn
        elif self.target == self._addresses[self._index]:
            self._tries_left = self._first_tries
            self._index = (self._index + 1) % len(self._addresses)
        self.target = self._addresses[self._index]
        return Connect(self.target, self._backoff.next_ms())

    def to(self, address: str, *, at_once: bool) -> Connect:
        """To the master that was named; at once only on a proven word.

        Otherwise two nodes that name each other would be asked without a pause.
        """
        self.target = address
        return Connect(address, 0 if at_once else self._backoff.next_ms())

    def succeeded(self) -> None:
        """A good connection: the next failure waits for the shortest time."""
        self._backoff.reset()
        self._tries_left = self._first_tries

    def learn(self, address: str) -> None:
        """Where to look too, when the configured ones do not answer."""
        if address and address not in self._configured:
            self._addresses = (*self._configured, address)
            self._index %= len(self._addresses)


def addresses_but(own: str, named: Iterable[str]) -> tuple[str, ...]:
    """Each of them once, in order, and not this node's own: that is no master's.

    Alone it is all that is left where nobody else is named: a single voter asks at its
    own door until it reigns.
    """
    return tuple(dict.fromkeys(one for one in named if one != own)) or (own,)
