"""A voter that an operator has stopped: reads go on, and it takes no part."""

from typing import Final

from nexus.errors import NoMasterError
from nexus.model.cluster import LinkState, ReplicaStats
from nexus.model.position import EpochHistory
from nexus.node.elections.forming import no_stats
from nexus.node.parts import Parts
from nexus.node.report import DutyReport

RESTS: Final = (
    "an operator has stopped this voter (POST /replication/stop); POST "
    '/replication/start {"role": "replica"} has it take part again'
)


class Resting:
    """It neither receives nor votes, and the voter list is as it was."""

    reason = RESTS

    def __init__(self, parts: Parts, history: EpochHistory) -> None:
        self._parts = parts
        self.history = history
        """Every reign of its log."""

    async def leave(self) -> None:
        """There is nothing to end."""

    def report(self) -> DutyReport:
        """How it fares."""
        return DutyReport(state=LinkState.STOPPED, last_error=RESTS)

    def stats(self) -> ReplicaStats:
        """GET /replication/replica/stats: nothing happens."""
        return no_stats(self._parts.log.durable_offset)

    def write_refusal(self) -> NoMasterError:
        """Why nothing can be written: it would be taken back."""
        return NoMasterError(f"nothing happened: {RESTS}")

    def tick(self) -> None:
        """Time changes nothing here."""

    async def retain(self) -> None:
        """There is nothing to drop."""
