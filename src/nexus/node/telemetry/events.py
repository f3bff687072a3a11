"""What happened on a node, in time: each event is logged, and the last ones are kept.

The event stream, the dashboard and the metrics all read them here.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import dropwhile
from typing import Final

import msgspec
import structlog

from nexus.model.position import Offset
from nexus.replication.effects import Level, Report

MOST_KEPT: Final = 500

UNTOLD: Final = frozenset(
    ("announced", "election_ended", "master_refused", "replica_error")
)
"""Reports that are a line of the log alone: elections are full of them."""

log = structlog.get_logger(__name__)


class NodeEvent(msgspec.Struct, frozen=True):
    """Something that an operator wants to know of."""

    id: int
    """Microseconds since 1970, but always more than the one before: places in time."""
    time: str
    """UTC, as ISO 8601 has it."""
    kind: str
    """A stable snake_case name."""
    level: Level
    epoch: int
    """As this node knew it then."""
    offset: int
    """The end of its log then."""
    detail: str


class EventLog:
    """The events of one node, from its start on; any thread may record."""

    def __init__(self, *, most: int = MOST_KEPT) -> None:
        self._kept: deque[NodeEvent] = deque(maxlen=most)
        self._counts: Counter[str] = Counter()
        self._place: Callable[[], tuple[int, Offset]] = lambda: (0, Offset(0))
        self._named: dict[str, str] = {}
        self._keeping = threading.Lock()

    def locate(
        self, place: Callable[[], tuple[int, Offset]], database: str = ""
    ) -> None:
        """From now on `place` tells the epoch and the end of the log.

        Lines name the `database`, unless it is the main one.
        """
        self._place = place
        self._named = {"database": database} if database else {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there were of each kind."""
        return self._counts

    def since(self, last_id: int) -> tuple[NodeEvent, ...]:
        """Those that are kept and newer than `last_id`, oldest first."""
        return tuple(dropwhile(lambda event: event.id <= last_id, list(self._kept)))

    def report(self, effect: Report) -> None:
        """What a machine reports."""
        if effect.event in UNTOLD:
            self.tell(effect.level, effect.event, effect.detail)
        else:
            self.record(effect.level, effect.event, effect.detail)

    @property
    def place(self) -> tuple[int, Offset]:
        """The epoch and the end of the log now."""
        return self._place()

    def info(self, kind: str, detail: str) -> None:
        """Something happened as it should."""
        self.record(Level.INFO, kind, detail)

    def warning(self, kind: str, detail: str) -> None:
        """Something happened that needs an eye."""
        self.record(Level.WARNING, kind, detail)

    def error(self, kind: str, detail: str) -> None:
        """Something happened that needs a hand."""
        self.record(Level.ERROR, kind, detail)

    def record(self, level: Level, kind: str, detail: str) -> None:
        """Log it and keep it."""
        self.tell(level, kind, detail)
        epoch, offset = self._place()
        # Two threads with one id, or kept in the other order: whoever has read the one
        # would never be given the other.
        with self._keeping:
            now_us = time.time_ns() // 1000
            if self._kept:
                now_us = max(now_us, self._kept[-1].id + 1)
            at = datetime.fromtimestamp(now_us / 1e6, UTC).isoformat(
                timespec="milliseconds"
            )
            self._counts[kind] += 1
            self._kept.append(NodeEvent(now_us, at, kind, level, epoch, offset, detail))

    def tell(self, level: Level, kind: str, detail: str) -> None:
        """A line of the log, and nothing that is kept."""
        epoch, offset = self._place()
        place = {"epoch": epoch, "offset": offset, **self._named}
        getattr(log, level.value)(kind, detail=detail, **place)
