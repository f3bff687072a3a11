"""What a replica's machine knows of its own link, log and master."""

from nexus.model.cluster import LinkState, ReplicaStats
from nexus.model.position import Epoch, EpochHistory, Offset
from nexus.protocol.messages import Welcome
from nexus.replication.following.applying import Applying
from nexus.replication.following.full_sync import FullSync
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.link import Link
from nexus.replication.following.rewinding import Rewinding
from nexus.replication.handshake.cascade import CASCADE
from nexus.replication.settings import Identity


class ReplicaView:
    """The part of a `Replica` that decides nothing."""

    _identity: Identity
    _epoch: Epoch
    _link: Link
    _log: Incoming
    _full_sync: FullSync
    _rewinding: Rewinding
    applying: Applying
    master: Welcome | None
    """What the last accepted master said of itself."""

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._link.state

    @property
    def is_connected(self) -> bool:
        """Whether a master has welcomed this replica, and the connection stands."""
        return self._link.is_welcome

    @property
    def is_full(self) -> bool:
        """Whether its log has reached its cap: a witness's has one."""
        return False

    @property
    def paused(self) -> bool:
        """Whether an operator has stopped the apply."""
        return self.applying.paused

    @property
    def master_addr(self) -> str:
        """The address that is followed, or tried next."""
        return self._link.address

    @property
    def last_error(self) -> str:
        """Why the link was refused or lost last; empty once it streams."""
        return self._link.last_error

    @property
    def epoch(self) -> Epoch:
        """The highest epoch met."""
        return self._epoch

    @property
    def cluster_id(self) -> str:
        """The own one, or the adopted; empty before."""
        return self._identity.cluster_id

    @property
    def history(self) -> EpochHistory:
        """The reigns of everything received."""
        return self._log.history

    @property
    def commit_offset(self) -> Offset:
        """The last entry known to be committed, at the master and here."""
        return self._log.commit

    @property
    def apply_delay_ms(self) -> int:
        """How old an entry must be before it is applied."""
        return self._log.delay.delay_ms

    def lag(self, now_ms: int) -> int:
        """Entries that the master has and this database lacks, as far as is known.

        On a delayed replica only those that are not held back on purpose.
        """
        return self._log.lag(now_ms)

    def held_back(self, now_ms: int) -> int:
        """Entries that a delayed replica does not apply yet, because it shall not."""
        return self._log.behind() - self._log.lag(now_ms)

    def lag_seconds(self, now_ms: int) -> float:
        """How long the oldest lagging one has been known, beyond any delay; or 0."""
        return self._log.lag_ms(now_ms) / 1000

    # --- What its downstreams are told -----------------------------------------------

    @property
    def passes_on(self) -> bool:
        """Whether it follows somebody whose log is its own, and grows."""
        return self._link.streams and self.master is not None

    @property
    def safe(self) -> Offset:
        """The last entry that it may show: committed, and durable here."""
        return self._log.safe

    @property
    def durable(self) -> Offset:
        """The end of its log, as far as it is synced."""
        return self._log.durable

    @property
    def master_end(self) -> Offset:
        """The end of the true master's log, as far as is known."""
        return self._log.master_offset

    @property
    def clock_ahead_ms(self) -> int | None:
        """What the master's clock shows more than this node's, where that is known."""
        return self._log.delay.ahead_ms

    @property
    def whole_history(self) -> EpochHistory:
        """The reigns of the log that is followed, those to come included."""
        return self._log.whole_history

    @property
    def upstream_features(self) -> tuple[str, ...]:
        """What the node that is followed has said of itself."""
        return self.master.features if self.master and self._link.is_welcome else ()

    @property
    def master_id(self) -> str:
        """Who reigns, however many replicas are between; empty before it is known."""
        if self.follows_replica and self.history.reigns:
            return self.history.reigns[-1].master_id
        return self.master.master_id if self.master else ""

    @property
    def follows_replica(self) -> bool:
        """Whether the node that is followed is a replica itself."""
        return CASCADE in self.upstream_features

    def stats(self, now_ms: int, *, bytes_received: int) -> ReplicaStats:
        """The totals since the machine was made."""
        return ReplicaStats(
            entries_received=self._log.entries_received,
            entries_applied=self._log.entries_applied,
            bytes_received=bytes_received,
            current_offset=self._log.received,
            lag=self.lag(now_ms),
            lag_seconds=self.lag_seconds(now_ms),
            reconnects=self._link.reconnects,
            connected=self.is_connected,
            master_id=self.master.master_id if self.master else "",
            full_syncs=self._full_sync.completed,
            rewinds=self._rewinding.completed,
            apply_conflicts=self._full_sync.conflicts,
        )
