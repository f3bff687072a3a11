"""A replica's rewind: its log goes back to where it left the master's history."""

from nexus.model.cluster import LinkState
from nexus.model.position import ORIGIN, Offset
from nexus.replication.effects import Effects, Level, Report, Rewind
from nexus.replication.following.full_sync import FullSync
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.keeping import Keeping
from nexus.replication.following.link import Link


class Rewinding:
    """First kept, then taken back; what cannot be taken back is a full sync."""

    def __init__(
        self, link: Link, log: Incoming, keeping: Keeping, full_sync: FullSync
    ) -> None:
        self._link = link
        self._log = log
        self._keeping = keeping
        self._full_sync = full_sync
        self._to = ORIGIN
        self.completed = 0

    def begin(self, fork: Offset) -> Effects:
        """On a new connection: keep the entries after `fork`, then take them back."""
        self._link.begins_rewind()
        self._log.unmatched()
        self._to = self._log.history.position_at(fork)
        return (*self._keeping.after(fork), Rewind(self._to))

    def ended(self) -> Effects:
        """The log ends at the fork, and the database is not beyond it."""
        self._log.rewound(self._to.offset)
        self._keeping.gone()
        self.completed += 1
        return self._link.disk_done("")

    def failed(self, reason: str, now_ms: int) -> Effects:
        """Database and log are as they were: ask for a snapshot, now or next time."""
        self._full_sync.wanted = True
        report = Report(Level.WARNING, "rewind_failed", reason)
        waited = self._link.disk_done(reason)
        if self._link.state is not LinkState.REWINDING:
            return (report, *waited)
        full_sync = self._full_sync.begin(self._to.offset, now_ms)
        self._link.last_error = reason
        return (report, *full_sync)
