"""Every metric there is: its name, kind, labels and meaning, in the order of /metrics.

The reference's table is made from this, and what is scraped must stand here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What Prometheus may do with it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Where(StrEnum):
    """Which nodes have it."""

    EVERY = "every node"
    MASTER = "master"
    REPLICA = "replica, witness"
    TLS = "with TLS"
    ARCHIVE = "with an archive"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    where: Where = Where.EVERY
    source: str = ""
    """Of the status or statistics of its node: the field that it shows."""


def _gauge(name: str, meaning: str, *labels: str) -> Family:
    return Family(f"nexus_{name}", Kind.GAUGE, meaning, labels)


def _counter(name: str, meaning: str, *labels: str) -> Family:
    return Family(f"nexus_{name}_total", Kind.COUNTER, meaning, labels)


def _histogram(name: str, meaning: str) -> Family:
    return Family(f"nexus_{name}", Kind.HISTOGRAM, meaning)


def _shown(
    where: Where, kind: Kind, rows: dict[str, tuple[str, str]], *labels: str
) -> tuple[Family, ...]:
    """Of each field, the metric that shows it."""
    end = "_total" if kind is Kind.COUNTER else ""
    return tuple(
        Family(f"nexus_{name}{end}", kind, meaning, labels, where, source)
        for source, (name, meaning) in rows.items()
    )


NODE: Final = (
    _gauge(
        "node_info",
        "1, with who this node is as labels.",
        *("node_id", "cluster_id", "role", "mode", "master_id"),
    ),
    _gauge("build_info", "1, with versions as labels.", "version", "python", "sqlite"),
    _gauge("state", "1 for the state that replication is in.", "state"),
    _gauge("time_seconds", "This machine's clock, seconds since 1970."),
)

STATUS: Final = _shown(
    Where.EVERY,
    Kind.GAUGE,
    {
        "running": ("running", "1 while the node runs."),
        "connected": ("connected", "1 while a replica has its master."),
        "paused": ("paused", "1 while replication is paused."),
        "epoch": ("epoch", "The reign that the node is in."),
        "wal_offset": ("wal_offset", "The last entry of its log."),
        "durable_offset": ("durable_offset", "The last entry synced here."),
        "applied_offset": ("applied_offset", "The last entry in the database."),
        "commit_offset": ("commit_offset", "The last entry on a quorum."),
        "lag": ("lag_entries", "Entries not yet applied."),
        "lag_seconds": ("lag_seconds", "Age of the oldest entry not yet applied."),
        "held_back": ("held_back_entries", "Entries not applied yet, on purpose."),
        "replica_count": ("replicas", "Replicas of this master."),
    },
)

EVENTS: Final = (
    _counter("events", "What has happened here, as on the dashboard.", "kind"),
    _counter("step_downs", "Reigns that this node has given up."),
    _counter("quorum_losses", "Times that a master began to refuse writes for it."),
    _counter("failovers", "Reigns of this log that began because a master died."),
    _counter("switchovers", "Reigns of this log that began by a switchover."),
)

MASTER: Final = (
    *_shown(
        Where.MASTER,
        Kind.COUNTER,
        {
            "entries_replicated": ("replicated_entries", "Entries sent to replicas."),
            "bytes_sent": ("sent_bytes", "Bytes sent to replicas."),
            "sync_acks": ("sync_acks", "Writes acknowledged by a quorum."),
            "sync_timeouts": ("sync_timeouts", "Writes whose quorum was too late."),
            "snapshot_transfers": ("snapshot_transfers", "Snapshots sent."),
            "rejected_connections": ("rejected_connections", "Peers turned away."),
        },
    ),
    *_shown(
        Where.MASTER,
        Kind.GAUGE,
        {
            "connected_replicas": ("connected_replicas", "Replicas connected."),
            "healthy_replicas": ("healthy_replicas", "Replicas that answer."),
        },
    ),
)

REPLICA: Final = _shown(
    Where.REPLICA,
    Kind.COUNTER,
    {
        "entries_received": ("received_entries", "Entries received."),
        "entries_applied": ("applied_entries", "Entries applied."),
        "bytes_received": ("received_bytes", "Bytes received."),
        "reconnects": ("reconnects", "Connections to the master after the first."),
        "full_syncs": ("full_syncs", "Databases replaced by a snapshot."),
        "rewinds": ("rewinds", "Times that entries were taken back."),
        "apply_conflicts": ("apply_conflicts", "Entries that did not fit."),
    },
)

_OF_REPLICA: Final = "replica"
EACH_REPLICA: Final = (
    *_shown(
        Where.MASTER,
        Kind.GAUGE,
        {
            "last_ack_offset": ("replica_ack_offset", "The last entry synced there."),
            "applied_offset": (
                "replica_applied_offset",
                "The last entry applied there.",
            ),
            "lag": ("replica_lag_entries", "Entries not yet applied there."),
            "lag_seconds": ("replica_lag_seconds", "Age of the oldest of them."),
            "healthy": ("replica_healthy", "1 while it answers."),
            "connected_seconds": ("replica_connected_seconds", "Since it connected."),
        },
        _OF_REPLICA,
    ),
    *_shown(
        Where.MASTER,
        Kind.COUNTER,
        {"bytes_sent": ("replica_sent_bytes", "Bytes sent to it.")},
        _OF_REPLICA,
    ),
)

TIMES: Final = (
    _histogram(
        "commit_seconds",
        "From a transaction's arrival at the writer to its answer: of each batch, the "
        "one that waited longest.",
    ),
    _histogram("quorum_wait_seconds", "A batch's wait until a quorum held it."),
    _histogram("log_sync_seconds", "To append to the log and make that durable."),
    _histogram("apply_seconds", "To apply one batch of entries on a replica."),
    _histogram("batch_transactions", "Transactions that shared one sync of the log."),
    _histogram("apply_batch_entries", "Entries that a replica applied together."),
)

COUNTS: Final = (
    _counter(
        "transactions",
        "Transactions that the writer has answered: committed, refused, unknown.",
        "outcome",
    ),
    _counter(
        "statements",
        "Statements of transactions that were committed or refused, and those of "
        "queries: read.",
        "outcome",
    ),
    _counter("elections", "This node's candidacies: started, won, lost.", "result"),
    _counter(
        "forwarded_writes",
        "Writes passed on to the master: answered, unsent, lost.",
        "result",
    ),
    _counter("http_requests", "HTTP answers by class of their status.", "code"),
    _counter(
        "rejected_peers", "Connections refused at the replication port.", "reason"
    ),
    _counter("native_sessions", "Native clients that were let in."),
    _counter("snapshot_sent_bytes", "Bytes of snapshots sent to replicas."),
)

HOLDINGS: Final = (
    _gauge("apply_delay_seconds", "How late it applies entries on purpose."),
    _gauge("quorum_lost", "1 while a master refuses writes for lack of a quorum."),
    _gauge("witness_full", "1 while a witness's log is at its cap: it holds no more."),
    _gauge("log_entries", "Entries that the log holds."),
    _gauge("log_size_bytes", "The log on the disk, preallocated space included."),
    _gauge("database_size_bytes", "The database's file."),
    _gauge("database_wal_size_bytes", "SQLite's own log beside the database."),
    _gauge("disk_free_bytes", "Space left for the data directory."),
    _gauge("disk_size_bytes", "The disk that has the data directory."),
    _gauge("snapshot_received_bytes", "Of the full sync under way; else 0."),
    _gauge("snapshot_expected_bytes", "All of it; 0 while that is not known."),
    _gauge("open_connections", "Connections by kind: node, client, http.", "kind"),
)

CERTIFICATE: Final = Family(
    "nexus_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "When this node's certificate ends, seconds since 1970.",
    where=Where.TLS,
)

REVOCATION_LIST: Final = Family(
    "nexus_revocation_list_expiry_timestamp_seconds",
    Kind.GAUGE,
    "When tls.crl_file ends, seconds since 1970; absent where it does not.",
    where=Where.TLS,
)

ARCHIVE: Final = (
    *_shown(
        Where.ARCHIVE,
        Kind.GAUGE,
        {
            "offset": ("archive_offset", "All up to here can be restored."),
            "lag": ("archive_lag_entries", "Entries committed and not archived."),
            "lag_seconds": (
                "archive_lag_seconds",
                "How long ago everything that was committed was archived.",
            ),
            "last_success": (
                "archive_last_success_timestamp_seconds",
                "When the archive was last well, seconds since 1970.",
            ),
            "last_error": ("archive_failing", "1 while something is wrong with it."),
        },
    ),
    *_shown(
        Where.ARCHIVE,
        Kind.COUNTER,
        {
            "failures": ("archive_failures", "Times that it could not be written to."),
            "bytes_sent": ("archive_sent_bytes", "Bytes sent to it."),
            "snapshots": ("archive_snapshots", "Snapshots sent to it."),
        },
    ),
)

FAMILIES: Final = {
    family.name: family
    for family in (
        *NODE,
        *STATUS,
        *EVENTS,
        *MASTER,
        *REPLICA,
        *EACH_REPLICA,
        *TIMES,
        *COUNTS,
        *HOLDINGS,
        CERTIFICATE,
        REVOCATION_LIST,
        *ARCHIVE,
    )
}
"""All of them by name; beside them stand Prometheus's own `process_*`."""
