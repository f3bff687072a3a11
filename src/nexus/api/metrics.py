"""GET /metrics: the node's status and counters as Prometheus reads them.

They are collected when they are asked for, from the same values as the calls about
the cluster; nothing is counted twice.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from nexus.api.calls import Answer, Call, Context
from nexus.api.facade import NodeFacade
from nexus.model.cluster import (
    LinkState,
    MasterStats,
    NodeStatus,
    ReplicaStats,
    ReplicaStatus,
    Role,
)

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

_STATUS_GAUGES: Final = {
    "running": ("nexus_running", "1 while the node runs."),
    "connected": ("nexus_connected", "1 while a replica has its master."),
    "paused": ("nexus_paused", "1 while replication is paused."),
    "epoch": ("nexus_epoch", "The reign that the node is in."),
    "wal_offset": ("nexus_wal_offset", "The last entry of its log."),
    "durable_offset": ("nexus_durable_offset", "The last entry synced here."),
    "applied_offset": ("nexus_applied_offset", "The last entry in the database."),
    "commit_offset": ("nexus_commit_offset", "The last entry on a quorum."),
    "lag": ("nexus_lag_entries", "Entries not yet applied."),
    "lag_seconds": ("nexus_lag_seconds", "Age of the oldest entry not yet applied."),
    "replica_count": ("nexus_replicas", "Replicas of this master."),
}

_MASTER_COUNTERS: Final = {
    "entries_replicated": ("nexus_replicated_entries", "Entries sent to replicas."),
    "bytes_sent": ("nexus_sent_bytes", "Bytes sent to replicas."),
    "sync_acks": ("nexus_sync_acks", "Writes acknowledged by a quorum."),
    "sync_timeouts": ("nexus_sync_timeouts", "Writes whose quorum was too late."),
    "snapshot_transfers": ("nexus_snapshot_transfers", "Snapshots sent."),
    "rejected_connections": ("nexus_rejected_connections", "Peers turned away."),
}
_MASTER_GAUGES: Final = {
    "connected_replicas": ("nexus_connected_replicas", "Replicas connected."),
    "healthy_replicas": ("nexus_healthy_replicas", "Replicas that answer."),
    "log_size": ("nexus_log_entries", "Entries that the log holds."),
}

_REPLICA_COUNTERS: Final = {
    "entries_received": ("nexus_received_entries", "Entries received."),
    "entries_applied": ("nexus_applied_entries", "Entries applied."),
    "bytes_received": ("nexus_received_bytes", "Bytes received."),
    "reconnects": ("nexus_reconnects", "Connections to the master after the first."),
    "full_syncs": ("nexus_full_syncs", "Databases replaced by a snapshot."),
    "rewinds": ("nexus_rewinds", "Times that entries were taken back."),
    "apply_conflicts": ("nexus_apply_conflicts", "Entries that did not fit."),
}

_EACH_REPLICA: Final = {
    "last_ack_offset": ("nexus_replica_ack_offset", "The last entry synced there."),
    "applied_offset": ("nexus_replica_applied_offset", "The last entry applied there."),
    "lag": ("nexus_replica_lag_entries", "Entries not yet applied there."),
    "lag_seconds": ("nexus_replica_lag_seconds", "Age of the oldest of them."),
    "healthy": ("nexus_replica_healthy", "1 while it answers."),
    "connected_seconds": ("nexus_replica_connected_seconds", "Since it connected."),
}


class NodeCollector(Collector):
    """Makes the metrics of one node, afresh for every scrape."""

    def __init__(self, node: NodeFacade) -> None:
        self._node = node

    @override
    def collect(self) -> Iterator[Metric]:
        """Every metric there is for a node of this role."""
        status = self._node.status()
        yield _info(status)
        yield _state(status)
        yield from _gauges(status, _STATUS_GAUGES)
        if status.role is Role.MASTER:
            stats = self._node.master_stats()
            yield from _counters(stats, _MASTER_COUNTERS)
            yield from _gauges(stats, _MASTER_GAUGES)
            yield from _each_replica(self._node.replicas())
        elif status.role in (Role.REPLICA, Role.WITNESS):
            yield from _counters(self._node.replica_stats(), _REPLICA_COUNTERS)


def _info(status: NodeStatus) -> Metric:
    info = InfoMetricFamily("nexus_node", "Who this node is.")
    info.add_metric(
        [],
        {
            "node_id": status.node_id,
            "cluster_id": status.cluster_id,
            "role": status.role,
            "mode": status.mode,
            "master_id": status.master_id,
        },
    )
    return info


def _state(status: NodeStatus) -> Metric:
    state = GaugeMetricFamily(
        "nexus_state", "1 for the state that replication is in.", labels=["state"]
    )
    for each in LinkState:
        state.add_metric([each], float(each is status.state))
    return state


def _gauges(values: msgspec.Struct, names: dict[str, tuple[str, str]]) -> list[Metric]:
    return [
        GaugeMetricFamily(name, help_text, value=float(getattr(values, field)))
        for field, (name, help_text) in names.items()
    ]


def _counters(
    values: MasterStats | ReplicaStats, names: dict[str, tuple[str, str]]
) -> list[Metric]:
    return [
        CounterMetricFamily(name, help_text, value=float(getattr(values, field)))
        for field, (name, help_text) in names.items()
    ]


def _each_replica(replicas: tuple[ReplicaStatus, ...]) -> Iterator[Metric]:
    for field, (name, help_text) in _EACH_REPLICA.items():
        gauge = GaugeMetricFamily(name, help_text, labels=["replica"])
        for replica in replicas:
            gauge.add_metric([replica.id], float(getattr(replica, field)))
        yield gauge
    sent = CounterMetricFamily(
        "nexus_replica_sent_bytes", "Bytes sent to it.", labels=["replica"]
    )
    for replica in replicas:
        sent.add_metric([replica.id], float(replica.bytes_sent))
    yield sent


async def _metrics(context: Context, _request: Request) -> Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(context.node))
    return Response(generate_latest(registry), headers={"Content-Type": TEXT})


CALLS: Final = (
    Call(
        "GET",
        "/metrics",
        "metrics",
        "What Prometheus scrapes.",
        {200: Answer("Text exposition format.", media_type="text/plain")},
        _metrics,
        role=None,
    ),
)
