"""How far a replica applies: all that it may, nothing, or up to a chosen entry."""

from nexus.model.position import Offset, Position
from nexus.replication.effects import Apply, Effects
from nexus.replication.following.incoming import Incoming


class Applying:
    """What an operator wants of one replica's apply."""

    def __init__(self, log: Incoming, *, paused: bool) -> None:
        self._log = log
        self.paused = paused
        """Whether nothing is applied, but what is up to the chosen entry, if any."""
        self._stops_at: Position | None = None
        """The last entry that an operator wants applied, while it is paused."""

    def pause(self) -> None:
        """Nothing more is to be applied; the driver drops an Apply that waits."""
        self._stop(None)

    def until(self, last: Offset) -> None:
        """What has come up to this entry, however young it is, and nothing after it.

        Once that entry is taken back nothing more is: others have its offset then.
        """
        self._stop(self._log.whole_history.position_at(last))

    def _stop(self, last: Position | None) -> None:
        self.paused, self._stops_at = True, last
        self._log.goal = self._log.applied

    def resume(self, *, at_once: bool) -> None:
        """Everything, as it becomes old enough; `at_once` what is held back too."""
        self.paused, self._stops_at = False, None
        if at_once:
            self._log.delay.release(self._log.received)

    def due(self, now_ms: int) -> Effects:
        """The Apply that was not asked for yet, if there is one."""
        goal = self._chosen() if self.paused else self._log.to_apply(now_ms)
        if goal <= self._log.goal:
            return ()
        self._log.goal = goal
        return (Apply(goal),)

    def _chosen(self) -> Offset:
        """How far a paused replica applies: mostly no further."""
        stop, log = self._stops_at, self._log
        if stop is None or log.whole_history.position_at(stop.offset) != stop:
            return log.goal
        return min(stop.offset, log.safe)
