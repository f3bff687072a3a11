"""Strong reads: each waits for a round of pings begun after it (Raft, section 8)."""

from collections.abc import Callable

from nexus.model.position import Offset
from nexus.replication.members.effects import ReadReady, ReadRefused


class StrongReads:
    """The reads that one reign has not answered yet; one round serves many."""

    def __init__(self, patience_ms: int) -> None:
        self._patience_ms = patience_ms
        self._waiting: dict[str, tuple[int, int]] = {}
        self._round = 0

    @property
    def any_waits(self) -> bool:
        """Whether a read is not answered yet."""
        return bool(self._waiting)

    def ask(self, read_id: str, stamp: int, now_ms: int) -> None:
        """A read begins; only pings with a greater stamp than this prove anything."""
        self._waiting[read_id] = (stamp + 1, now_ms + self._patience_ms)

    def wants_round(self, confirmed: int) -> bool:
        """Whether a round should begin now: one is needed, and none is on its way."""
        needed = max((stamp for stamp, _ in self._waiting.values()), default=0)
        return needed > self._round and confirmed >= self._round

    def begin_round(self, stamp: int) -> None:
        """Every voter that is there is sent a ping of this stamp or a greater one."""
        self._round = stamp

    def ready(self, confirmed: int, offset: Offset) -> tuple[ReadReady, ...]:
        """Those that the answers prove; they may see everything up to `offset`."""
        return tuple(
            ReadReady(read_id, offset)
            for read_id in self._taken(lambda one: one[0] <= confirmed)
        )

    def late(self, now_ms: int) -> tuple[ReadRefused, ...]:
        """Those that have waited too long."""
        reason = "no quorum of voters has confirmed that this node still reigns"
        return tuple(
            ReadRefused(read_id, reason)
            for read_id in self._taken(lambda one: one[1] < now_ms)
        )

    def ended(self, reason: str) -> tuple[ReadRefused, ...]:
        """The reign is over."""
        return tuple(
            ReadRefused(read_id, reason) for read_id in self._taken(lambda _: True)
        )

    def _taken(self, condition: Callable[[tuple[int, int]], bool]) -> list[str]:
        taken = [key for key, one in self._waiting.items() if condition(one)]
        for read_id in taken:
            del self._waiting[read_id]
        return taken
