"""Every setting there is, with its type, bounds and default."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from nexus.config.values import (
    ENDPOINTS,
    Address,
    ChunkSize,
    CompressionLevel,
    Count,
    Delay,
    Endpoint,
    EtcdPrefix,
    Milliseconds,
    Secret,
    Size,
)
from nexus.model.cluster import Mode, Role

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
    apply_delay_ms: Delay = 0
    """A replica applies an entry only when it is so old; 0: at once."""
    max_log_size: Count = 1_000_000
    """Entries that the log keeps at least; older segments are dropped."""
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


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may take of a node."""

    transaction_bytes: Size = 64 << 20
    """Changes of one transaction; checked while it grows."""
    idle_transaction_ms: Milliseconds = 5_000
    """An interactive transaction holds the writer: idle for longer, it ends."""
    readers: Count = 8
    """Queries that run at once."""


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
    client_certs: Literal["optional", "required"] = "optional"
    """Whether clients too must show one of the CA's."""


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
    replication: ReplicationSettings = ReplicationSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    limits: LimitSettings = LimitSettings()
    security: SecuritySettings = SecuritySettings()
    tls: TlsSettings = TlsSettings()
