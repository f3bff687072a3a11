"""Every setting there is, with its type, bounds and default."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from nexus.config.values import (
    ENDPOINTS,
    NAMES,
    Address,
    ChunkSize,
    CompressionLevel,
    Count,
    DatabaseName,
    Delay,
    Duration,
    Endpoint,
    EtcdPrefix,
    Milliseconds,
    Natural,
    Rate,
    Size,
)
from nexus.model.cluster import Mode, Role
from nexus.model.secret import Secret

NO_SECRET: Final = Secret("")


class ReplicationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who this node is in its cluster, and how long it waits for the others."""

    role: Role = Role.STANDALONE
    bind_addr: Address = "127.0.0.1:15475"
    master_addr: Address | None = None
    peers: Annotated[tuple[Address, ...], Meta(extra={"kind": "addresses"})] = ()
    mode: Mode = Mode.ASYNC
    sync_quorum: Count | None = None
    sync_timeout_ms: Milliseconds = 10_000
    heartbeat_ms: Milliseconds = 5_000
    missed_heartbeats: Count = 3
    connect_timeout_ms: Milliseconds = 10_000
    cascade: bool = False
    """The node at master_addr may be a replica, which passes its log on."""
    max_receive_rate: Rate | None = None
    """Bytes a second that a replica reads from its upstream; None: what comes."""
    apply_delay_ms: Delay = 0
    """A replica applies an entry only when it is so old; 0: at once."""
    max_log_size: Count = 1_000_000
    """Entries that the log keeps at least; older segments are dropped."""
    hold_size: Size = 8 << 30
    """What a witness's log may grow to while another voter lacks entries of it."""
    auto_failover: bool = True
    coordinator: Literal["manual", "quorum", "etcd"] | None = None
    """Who decides about masters; None: the voters where there are any, else an
    operator."""
    etcd_endpoints: Annotated[tuple[Endpoint, ...], Meta(extra=ENDPOINTS)] = ()
    etcd_prefix: EtcdPrefix = "/nexus"
    """Under it stand the keys of one cluster; each has a prefix of its own."""
    etcd_user: str = ""
    etcd_password: Secret = NO_SECRET
    etcd_ca_file: Path | None = None
    """Who signed etcd's certificates; None: whom this machine trusts."""
    etcd_cert_file: Path | None = None
    """This node's own, where etcd asks its clients for one; with its key."""
    etcd_key_file: Path | None = None


class SnapshotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How snapshots are packed and sent."""

    compression_level: CompressionLevel = 3
    max_size: Size = 10 << 30
    """Uncompressed; a larger archive is neither made nor installed."""
    chunk_size: ChunkSize = 1 << 20
    max_transfers: Count = 2


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a second copy of everything goes, and how much of it is kept there."""

    url: str = ""
    """A directory, file:///…, s3://…, gs://… or az://…; empty: none."""
    interval_ms: Milliseconds = 1_000
    """How old a commit may get that is not archived."""
    snapshot_interval: Duration = 86_400
    retention_age: Duration = 7 * 86_400
    """Every moment of so long ago can be restored."""
    retention_count: Count = 2
    """So many snapshots are kept at least."""
    hold_size: Size = 4 << 30
    """What the log may grow to while the archive does not take its entries."""
    seed: bool = False
    """A new replica begins from the archive, not from its master's snapshot."""


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may take of a node."""

    transaction_bytes: Size = 64 << 20
    """Changes of one transaction; checked while it grows."""
    idle_transaction_ms: Milliseconds = 5_000
    """An interactive transaction holds the writer: idle for longer, it ends."""
    readers: Count = 8
    """Queries that run at once."""
    requests_per_second: Natural = 0
    """Of one token, or of one address without; 0: any number."""
    request_bytes: Size = 64 << 20
    """One request's body."""
    statements: Count = 10_000
    """Of one request."""
    connections: Count = 2_048
    """At each port; each costs a descriptor and a buffer."""
    connections_per_address: Natural = 0
    """At each port; 0: as many as there may be in all."""
    head_timeout_ms: Milliseconds = 10_000
    """For a request's head, and for a WebSocket's greeting."""
    body_timeout_ms: Milliseconds = 60_000
    """For a request's body, and for a caller to take some of an answer."""
    idle_connection_ms: Milliseconds = 75_000
    """Between two requests over one connection."""


class SecuritySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who is let in."""

    require_tokens: bool = False
    """Every call needs a token or the secret, on loopback and without tokens too."""


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How both ports are protected; without a certificate they speak plainly."""

    cert_file: Path | None = None
    """This node's, in PEM: it serves with it, and shows it to other nodes."""
    key_file: Path | None = None
    ca_file: Path | None = None
    """Who signed nodes' certificates: no node without one of these is let in. None:
    whom this machine trusts, and nodes show no certificate."""
    crl_file: Path | None = None
    """Which of the CA's certificates were revoked, in PEM; it signs that list too."""
    mode: Literal["required", "optional"] = "required"
    """optional: who speaks plainly is served too, while nodes change over to TLS."""
    client_certs: Literal["optional", "required"] = "optional"
    """Whether clients too must show one of the CA's."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node tells on standard error, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"
    """auto: for people on a terminal, else one JSON object a line."""
    audit_file: Path | None = None
    """Where administrative acts are written as lines of JSON, beside the log."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one node, checked; made by `load`."""

    data_dir: Path = Path("nexus-data")
    http_addr: Address = "127.0.0.1:15474"
    cluster_secret: Secret = NO_SECRET
    """What the cluster's nodes and operators share; empty: none."""
    cluster_secret_file: Path | None = None
    insecure: bool = False
    """Listen beyond loopback without a secret."""
    functions: Annotated[tuple[str, ...], Meta(extra={"kind": "modules"})] = ()
    """Python modules whose SQL functions every connection of this node has."""
    databases: Annotated[tuple[DatabaseName, ...], Meta(extra=NAMES)] = ()
    """Named databases beside the main one, each with a log and a stream of its own."""
    replication: ReplicationSettings = ReplicationSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    archive: ArchiveSettings = ArchiveSettings()
    limits: LimitSettings = LimitSettings()
    security: SecuritySettings = SecuritySettings()
    tls: TlsSettings = TlsSettings()
    log: LogSettings = LogSettings()
