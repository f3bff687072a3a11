"""What a node under etcd takes from its configuration."""

from typing import Final

from nexus.config import ReplicationSettings
from nexus.model.cluster import Mode, Role
from nexus.node.etcd.client import EtcdSettings
from nexus.node.parts import Parts
from nexus.node.roles.machines import sync_quorum
from nexus.replication.etcd.stages import LeadershipSettings

LEAST_LEASE_S: Final = 2
"""Etcd, as it is usually configured, gives no shorter one."""

ANSWERS_PER_LEASE: Final = 6
"""So many silent members in a row can be asked before a lease ends."""

MOST_POLL_MS: Final = 1_000
"""How often both keys are read, at least."""


def leadership_settings(parts: Parts) -> LeadershipSettings:
    """The bounds of a node under etcd."""
    settings = parts.config.replication
    return LeadershipSettings(
        node_id=parts.state.node_id,
        ttl_s=lease_ttl_s(settings),
        dead_after_ms=settings.heartbeat_ms * settings.missed_heartbeats,
        poll_ms=min(MOST_POLL_MS, settings.heartbeat_ms),
        quorum=sync_quorum(settings, Mode.SYNC),
        founds=settings.role is Role.MASTER,
        stands=settings.auto_failover and not settings.apply_delay_ms,
    )


def etcd_settings(settings: ReplicationSettings) -> EtcdSettings:
    """Which etcd, and how patient this node is with a member of it."""
    ca_file, cert_file = settings.etcd_ca_file, settings.etcd_cert_file
    key_file = settings.etcd_key_file
    return EtcdSettings(
        endpoints=settings.etcd_endpoints,
        prefix=settings.etcd_prefix,
        timeout_s=lease_ttl_s(settings) / ANSWERS_PER_LEASE,
        user=settings.etcd_user,
        password=settings.etcd_password,
        ca_file=None if ca_file is None else str(ca_file),
        cert_file=None if cert_file is None else str(cert_file),
        key_file=None if key_file is None else str(key_file),
    )


def lease_ttl_s(settings: ReplicationSettings) -> int:
    """The leader's lease: a dead-time, in etcd's whole seconds."""
    dead_after_ms = settings.heartbeat_ms * settings.missed_heartbeats
    return max(LEAST_LEASE_S, -(-dead_after_ms // 1000))
