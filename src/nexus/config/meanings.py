"""What each setting is for, in a line, and what it is unless one says otherwise."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from nexus.config.loading import SETTINGS
from nexus.config.settings import Config
from nexus.config.values import TIMES

UNITS_OF: Final = {
    "size": {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30},
    "duration": {unit: TIMES[unit] for unit in "smhd"},
}

MEANINGS: Final = {
    "data_dir": "Where this node keeps everything. One process owns it.",
    "http_addr": "Where the REST API listens; name a host that others reach.",
    "cluster_secret": "What all nodes and operators of the cluster share.",
    "cluster_secret_file": "A file with the secret, instead of `cluster_secret`.",
    "insecure": "Listen beyond loopback without a secret.",
    "databases": "Named databases beside the main one; each has its own log.",
    "functions": "Python modules with SQL functions of your own.",
    "replication.role": "`standalone`, `master`, `replica` or `witness`.",
    "replication.bind_addr": "Where replicas and native clients connect.",
    "replication.master_addr": (
        "The master's `bind_addr`; a replica needs it, or peers."
    ),
    "replication.peers": "The voters' addresses, to form a cluster the first time.",
    "replication.mode": "`async`, or `sync`: acknowledge what a quorum holds.",
    "replication.sync_quorum": (
        "How many nodes a quorum has; with voters, in a new log."
    ),
    "replication.sync_timeout_ms": (
        "After this time without a quorum a write's outcome is `unknown`."
    ),
    "replication.heartbeat_ms": (
        "How often each side of a connection says that it is there."
    ),
    "replication.missed_heartbeats": (
        "After this many missed in a row the other side counts as dead."
    ),
    "replication.connect_timeout_ms": (
        "How long a connection and its handshake may take."
    ),
    "replication.cascade": "The node at `master_addr` may be a replica, too.",
    "replication.max_receive_rate": "The most bytes a second that a replica takes.",
    "replication.apply_delay_ms": (
        "How long a replica waits before it applies an entry, on purpose."
    ),
    "replication.max_log_size": "How many entries the log keeps, at the least.",
    "replication.hold_size": "What a witness's log may grow to for absent voters.",
    "replication.auto_failover": (
        "Replace a dead master without an operator, where voters elect."
    ),
    "replication.coordinator": (
        "`manual`, `quorum` or `etcd`; else `quorum` where there are peers."
    ),
    "replication.etcd_endpoints": "URLs of etcd's members, for `coordinator = etcd`.",
    "replication.etcd_prefix": "The prefix of the cluster's keys in etcd.",
    "replication.etcd_user": "The user name, where etcd asks for one.",
    "replication.etcd_password": "That user's password.",
    "replication.etcd_ca_file": "The CA of etcd's certificates.",
    "replication.etcd_cert_file": "This node's certificate, where etcd asks for one.",
    "replication.etcd_key_file": "That certificate's key.",
    "tls.cert_file": "This node's certificate, in PEM. With it both ports speak TLS.",
    "tls.key_file": "That certificate's key.",
    "tls.ca_file": "The CA of the nodes' certificates. Nodes without one are refused.",
    "tls.crl_file": "Which of that CA's certificates were revoked: `nexus tls revoke`.",
    "tls.mode": "`required`, or `optional`: plain peers too, during a change to TLS.",
    "tls.client_certs": "`optional`, or `required`: clients show a certificate, too.",
    "snapshot.compression_level": "zstd's level, 1 to 22.",
    "snapshot.max_size": "Uncompressed. A larger one is neither made nor installed.",
    "snapshot.chunk_size": "Size of one piece on the wire.",
    "snapshot.max_transfers": "How many snapshots are sent at once.",
    "archive.url": "Where backups go: a directory or a bucket; empty: nowhere.",
    "archive.interval_ms": "How old a commit may get before it is archived.",
    "archive.snapshot_interval": "How often a snapshot goes to the archive.",
    "archive.retention_age": "How far back every moment can be restored.",
    "archive.retention_count": "How many snapshots the archive keeps, at the least.",
    "archive.hold_size": "What the log may grow to while the archive fails.",
    "archive.seed": "A new replica begins from the archive.",
    "limits.transaction_bytes": (
        "The most that one transaction may change; a larger one is refused."
    ),
    "limits.idle_transaction_ms": (
        "An open transaction that idles for longer is rolled back."
    ),
    "limits.readers": "How many queries run at once.",
    "limits.requests_per_second": (
        "Of one token, or of one address without a token; 0: any number."
    ),
    "limits.request_bytes": "The largest body of a request.",
    "limits.statements": "The most statements of a request.",
    "limits.connections": "The most at each port; beyond it idle ones are closed.",
    "limits.connections_per_address": (
        "The most of one address, at each port; 0: no limit of its own."
    ),
    "limits.head_timeout_ms": (
        "How long a request's head, or a WebSocket's greeting, may take."
    ),
    "limits.body_timeout_ms": (
        "How long a body may take, and a caller may read nothing."
    ),
    "limits.idle_connection_ms": "How long a connection may idle between two requests.",
    "log.audit_file": "A file for administrative acts, as lines of JSON.",
    "log.level": "`debug`, `info`, `warning` or `error`: the least that is logged.",
    "log.format": "`human`, `json`, or `auto`: human on a terminal, else JSON.",
    "security.require_tokens": "Ask for a token on loopback and without tokens too.",
}
"""By key, with code in backticks."""


def default_of(key: str) -> str:
    """What counts where nobody sets it, as one writes it by hand; empty for nothing.

    Raises KeyError for what is no setting.
    """
    setting = SETTINGS[key]
    value: Any = Config()
    for part in key.split("."):
        value = getattr(value, part)
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if setting.kind in UNITS_OF:
        return _in_largest(value, UNITS_OF[setting.kind])
    return str(value)


def _in_largest(value: int, units: Mapping[str, int]) -> str:
    """The number with the largest unit that divides it."""
    for unit, size in sorted(units.items(), key=itemgetter(1), reverse=True):
        if value % size == 0:
            return f"{value // size}{unit}"
    return str(value)
