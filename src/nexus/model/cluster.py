"""Who is there and how they fare: roles, states, and what status calls report."""

from enum import StrEnum
from typing import Final, NewType

import msgspec

NodeId = NewType("NodeId", str)

CERTIFICATE_SOON_S: Final = 14 * 86_400.0
"""So long before its end a certificate is warned of: in the log and by `nexus status`,
as by the alert in deploy/."""


class Role(StrEnum):
    """What a node is for; kept in the catalog."""

    STANDALONE = "standalone"
    MASTER = "master"
    REPLICA = "replica"
    WITNESS = "witness"


class Mode(StrEnum):
    """Whether the master waits for a quorum before it commits."""

    ASYNC = "async"
    SYNC = "sync"

    @classmethod
    def named(cls, name: str, default: "Mode") -> "Mode":
        """The mode of that name; where a log names none, the default."""
        return cls(name) if name in set(cls) else default


class Outcome(StrEnum):
    """What a client is told of its transaction."""

    COMMITTED = "committed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class LinkState(StrEnum):
    """Where a replica stands with its master."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    FULL_SYNC = "full_sync"
    REWINDING = "rewinding"
    RECONNECTING = "reconnecting"
    ELECTING = "electing"
    PAUSED = "paused"
    STOPPED = "stopped"


class ArchiveStatus(msgspec.Struct, frozen=True):
    """How a master's archive fares; the one source of these figures."""

    url: str
    offset: int
    """Everything up to here can be restored; 0: nothing can."""
    lag: int
    """Entries committed and not archived."""
    lag_seconds: float
    """How long ago everything that was committed was archived."""
    last_success: float
    """When the archive was last well, seconds since 1970; 0: not since the start."""
    snapshots: int
    """Uploaded by this node since it began to reign."""
    bytes_sent: int
    failures: int
    """Times that it could not be written to."""
    last_error: str
    """Why it does not get on, or what it has lost; empty: all is well."""


class NodeStatus(msgspec.Struct, frozen=True):
    """GET /replication/status."""

    role: Role
    running: bool
    """False once the node has failed, and must be started again."""
    mode: Mode
    """The log's; where it names none, the configured one."""
    connected: bool
    """A replica to whom it follows; a master to at least one replica."""
    node_id: str
    cluster_id: str
    epoch: int
    """The highest that this node knows of."""
    wal_offset: int
    """The last entry in its log, synced or not."""
    durable_offset: int
    """The last entry in its log that is synced."""
    applied_offset: int
    """The last entry in its database."""
    commit_offset: int
    """The last entry that a quorum holds, as far as this node knows; in async mode:
    that the master has synced."""
    lag: int
    """Entries that a replica should have applied, a witness stored, and has not."""
    lag_seconds: float
    """How long the oldest of them has been known here."""
    replica_count: int
    """Those that are connected to this node; a replica's are its downstreams."""
    master_id: str
    """Who reigns; empty where this node knows of nobody."""
    master_url: str
    """Where its HTTP is; empty where that is not known, or there is none."""
    state: LinkState
    paused: bool
    """Whether an operator holds its apply, or all its streams."""
    auto_failover: bool
    """False in maintenance, or where it is configured so: only operators promote."""
    has_database: bool
    """A new replica has none before its first snapshot or entry."""
    failovers: int
    """Reigns in this node's log that began because the master had gone."""
    last_error: str
    """Why it has failed or does not get on; empty: all is well."""
    archive: ArchiveStatus | None = None
    """Null where nothing is archived from: no `archive.url`, or no master."""
    apply_delay_ms: int = 0
    """How old an entry must be before this replica applies it."""
    held_back: int = 0
    """Entries that are not applied only because they are younger: they are no lag."""
    upstream_id: str = ""
    """Whom a replica follows: the master, or a replica that passes its log on."""
    certificate_expires: float | None = None
    """Seconds since 1970; null where the node has no certificate."""
    revocation_list_ends: float | None = None
    """When `tls.crl_file` ends, seconds since 1970; null where it does not."""


class MasterStats(msgspec.Struct, frozen=True):
    """GET /replication/master/stats: of this reign."""

    entries_replicated: int
    """Sent, each as often as there are replicas."""
    bytes_sent: int
    """Of the frames of those entries."""
    connected_replicas: int
    healthy_replicas: int
    """Connected, heard of within the dead-time, and getting on."""
    log_size: int
    """Entries that the log holds."""
    current_offset: int
    """The last entry in its log that is synced."""
    sync_acks: int
    """Transactions that a quorum held in time."""
    sync_timeouts: int
    """Transactions whose clients were told that the outcome is unknown."""
    snapshot_transfers: int
    rejected_connections: int


class ReplicaStats(msgspec.Struct, frozen=True):
    """GET /replication/replica/stats: since it began to follow."""

    entries_received: int
    entries_applied: int
    bytes_received: int
    """Of everything that whom it follows has sent."""
    current_offset: int
    """The last entry in its log, synced or not."""
    lag: int
    """As in NodeStatus, and so is `lag_seconds`."""
    lag_seconds: float
    reconnects: int
    connected: bool
    master_id: str
    """Whom it follows: the master, or the replica that is its upstream."""
    full_syncs: int
    rewinds: int
    apply_conflicts: int
    """Entries that did not fit its database; each ends in a full sync."""


class MemberView(msgspec.Struct, frozen=True):
    """A node of a cluster that elects."""

    id: str
    addr: str
    voter: bool
    """False: a learner, which is never counted."""
    connected: bool
    """As the master sees it; on another node only itself is known to be."""


class MembersView(msgspec.Struct, frozen=True):
    """GET /cluster/members: the configuration in force on this node."""

    cluster_id: str
    offset: int
    """Of the log's entry that brought it; 0 before there is one."""
    auto_failover: bool
    """False in maintenance: only operators begin elections."""
    members: tuple[MemberView, ...]
    sync_quorum: int | None = None
    """Voters that must hold a write in sync mode; 0: a majority of them; null: as each
    master is configured."""


class ReplicaStatus(msgspec.Struct, frozen=True):
    """One row of GET /replication/replicas: a replica in its master's eyes."""

    id: str
    addr: str
    """Where other nodes reach it."""
    http_url: str
    """Empty where it has no HTTP."""
    voter: bool
    last_ack_offset: int
    """The last entry that is durable there."""
    applied_offset: int
    """The last entry in its database."""
    lag: int
    """Entries of the master's log that it has not applied; a witness: not stored."""
    lag_seconds: float
    """How long ago the master made the oldest of them."""
    healthy: bool
    """Connected, heard of within the dead-time, and getting on."""
    connected_seconds: float
    """0: it is not."""
    bytes_sent: int
    """To it, of entries' frames."""
    state: LinkState
    apply_delay_ms: int = 0
    """How late it applies on purpose; `lag` is what it is behind beyond that."""
    full: bool = False
    """A witness whose log has reached its cap: until it has room it holds no write."""
    no_space: bool = False
    """Its disk has no space: until there is some it holds no write."""
