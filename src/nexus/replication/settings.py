"""What a machine is told once: who this node is, its bounds, where it stands."""

from typing import Final

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, EpochHistory, Offset


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """This node, as it introduces itself."""

    node_id: NodeId
    cluster_id: str
    """Empty on a node that has joined no cluster yet."""
    address: str
    """Where other nodes reach it, `host:port`."""
    http_url: str = ""
    voter: bool = False
    features: tuple[str, ...] = ()
    page_size: int = 4096
    """Of its database; a master tells its replicas."""
    encoding: str = "UTF-8"


WITNESS: Final = "witness"
"""A feature in Hello: this node keeps the log and no database."""
FETCHES: Final = "fetches"
"""A feature in Hello: a candidate wants what a witness's log has more."""


class LogExtent(msgspec.Struct, frozen=True):
    """What a log holds: `first_offset` up to `durable_offset`, both included.

    An empty log that goes on after offset N has first_offset N + 1, durable_offset N.
    """

    first_offset: Offset = Offset(1)
    durable_offset: Offset = Offset(0)


class MasterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The master's bounds."""

    quorum: int = 1
    """Nodes that must hold an entry before it is committed; 1: the master alone.

    0, where voters are known: a majority of them."""
    heartbeat_ms: int = 5_000
    missed_heartbeats: int = 3
    """Silence of so many heartbeats: the replica is unhealthy, its connection ends."""
    window_entries: int = 65_536
    """Entries sent and not acknowledged, for each replica: what a break sends twice."""
    max_transfers: int = 2
    """Snapshots on their way at once; other replicas wait their turn."""
    max_replicas: int = 256
    """Replicas remembered, connected or not; the longest gone is forgotten first."""
    pin_entries: int = 4_000_000
    """Entries that the log keeps for a full sync before it lets go."""
    pin_ms: int = 3_600_000
    """How long the log keeps them: an hour is 10 GiB at 3 MB/s."""

    @property
    def dead_after_ms(self) -> int:
        """Silence that ends a connection."""
        return self.heartbeat_ms * self.missed_heartbeats


class ReplicaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The replica's bounds."""

    addresses: tuple[str, ...]
    """Where a master may be found, most likely first; not empty."""
    heartbeat_ms: int = 5_000
    missed_heartbeats: int = 3
    connect_timeout_ms: int = 10_000
    """From the connection to the Welcome."""
    retry_first_ms: int = 1_000
    retry_most_ms: int = 60_000
    """Reconnects, and full syncs one after the other, wait so long, doubling."""
    steady_ms: int = 60_000
    """Streaming for so long, the next full sync need not wait."""
    cascades: bool = False
    """It may follow a replica: the first address is one's."""
    home_ms: int = 60_000
    """So long the first address must answer well before a stand-in is left for it."""
    first_tries: int = 1
    """So often the first address is tried in a row before others."""
    apply_delay_ms: int = 0
    """How old an entry must be, by its master's clock, before it is applied."""
    hold_bytes: int = 0
    """Of a witness: what its log may take of the disk; 0: any size."""


class RecoveredState(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica's machine begins with, read from disk."""

    history: EpochHistory = EpochHistory()
    """The reigns of its log and database."""
    durable_offset: Offset = Offset(0)
    """The log's end; where the database is ahead of an empty log, the database's."""
    applied_offset: Offset = Offset(0)
    epoch: Epoch = Epoch(0)
    """The highest that the catalog knows of."""
    incomplete: bool = False
    """Its log has lost entries, or does not fit the database: it takes a full sync."""
    paused: bool = False
    """An operator stopped its apply before the restart."""
    written: tuple[tuple[Offset, int], ...] = ()
    """Of a delayed replica's log: what is not applied, and when it was written, in
    microseconds since 1970."""
