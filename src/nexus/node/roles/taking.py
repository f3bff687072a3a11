"""Whether a reign takes writes, and what is said of those that it does not take."""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final

from nexus.errors import NexusError

Refusal = Callable[[], NexusError | None]
"""Asked for each write, in whatever thread; None: that one is taken."""


class Taking(Enum):
    """How a reign stands to new writes."""

    FREELY = auto()
    LACKS_QUORUM = auto()
    """Until enough nodes are there to hold them."""
    HELD = auto()
    """Until it is known who reigns next."""
    ENDED = auto()
    """For good: no quorum's return and no failed switchover changes that."""


MOVES: Final[Mapping[Taking, frozenset[Taking]]] = {
    Taking.FREELY: frozenset(Taking),
    Taking.LACKS_QUORUM: frozenset(Taking),
    Taking.HELD: frozenset({Taking.FREELY, Taking.HELD, Taking.ENDED}),
    Taking.ENDED: frozenset({Taking.ENDED}),
}


HELD: Final = (
    "this node hands over to another master; nothing happened, try again at once"
)


class WriteGate:
    """Has a writer refuse, or take, what comes."""

    def __init__(self, refuse: Callable[[Refusal | None], None]) -> None:
        """`refuse` has the writer ask for this refusal from now on; None: for none."""
        self.taking = Taking.FREELY
        self._refuse = refuse

    def turn(self, taking: Taking, refusal: Refusal | None = None) -> None:
        """From now on so; nothing changes where that is no move."""
        if taking in MOVES[self.taking]:
            self.taking = taking
            self._refuse(refusal)

    @property
    def is_over(self) -> bool:
        """Whether no more writes are taken, whatever happens."""
        return self.taking is Taking.ENDED

    @property
    def is_settled(self) -> bool:
        """Whether it makes no difference now how many nodes are there."""
        return self.taking in (Taking.HELD, Taking.ENDED)
