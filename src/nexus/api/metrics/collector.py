"""One scrape: the figures of a node, each under its name of the catalogue."""

import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Final

import apsw
import msgspec
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from nexus.api.facade import NodeFacade
from nexus.api.metrics import catalogue
from nexus.api.metrics.catalogue import FAMILIES, Family, Kind
from nexus.model.cluster import LinkState, NodeStatus, ReplicaStatus, Role
from nexus.node.figures import Figures
from nexus.node.telemetry.measures import Histogram, Measures

BUILD: Final = (
    version("nexus-sqlite"),
    platform.python_version(),
    apsw.sqlitelibversion(),
)

Sample = tuple[tuple[str, ...], float]


class NodeCollector(Collector):
    """Makes the metrics of one node, afresh for every scrape."""

    def __init__(self, node: NodeFacade, figures: Figures) -> None:
        """`figures` were looked up just now, where that may block."""
        self._node = node
        self._figures = figures

    @override
    def collect(self) -> Iterator[Metric]:
        """Every metric there is for a node of this role."""
        status, measures = self._node.status(), self._node.measures
        yield from _identity(status)
        yield from _fields(catalogue.STATUS, {(): status})
        yield from self._events(status)
        yield from self._role(status.role)
        yield _named("nexus_apply_delay_seconds", status.apply_delay_ms / 1000)
        yield from _times(measures)
        yield from _counts(measures, self._figures)
        yield from _holdings(measures, self._figures)
        if measures.certificate_expires is not None:
            yield _family(catalogue.CERTIFICATE, [((), measures.certificate_expires)])
        if measures.revocation_list_ends is not None:
            yield _family(
                catalogue.REVOCATION_LIST, [((), measures.revocation_list_ends)]
            )
        if status.archive is not None:
            yield from _fields(catalogue.ARCHIVE, {(): status.archive})

    def _events(self, status: NodeStatus) -> Iterator[Metric]:
        counts = self._node.events.counts
        yield _by_label("nexus_events_total", counts)
        yield _named("nexus_step_downs_total", counts.get("stepping_down", 0))
        yield _named("nexus_quorum_losses_total", counts.get("quorum_lost", 0))
        yield _named("nexus_failovers_total", status.failovers)
        switchovers = self._node.history().count("switchover")
        yield _named("nexus_switchovers_total", switchovers)

    def _role(self, role: Role) -> Iterator[Metric]:
        node = self._node
        if role is Role.MASTER:
            yield from _fields(catalogue.MASTER, {(): node.master_stats()})
            replicas: dict[tuple[str, ...], ReplicaStatus]
            replicas = {(replica.id,): replica for replica in node.replicas()}
            yield from _fields(catalogue.EACH_REPLICA, replicas)
        elif role in (Role.REPLICA, Role.WITNESS):
            yield from _fields(catalogue.REPLICA, {(): node.replica_stats()})


def _identity(status: NodeStatus) -> Iterator[Metric]:
    who = (
        *(status.node_id, status.cluster_id, status.role, status.mode),
        status.master_id,
    )
    yield _family(FAMILIES["nexus_node_info"], [(who, 1.0)])
    yield _family(FAMILIES["nexus_build_info"], [(BUILD, 1.0)])
    states = [((str(each),), float(each is status.state)) for each in LinkState]
    yield _family(FAMILIES["nexus_state"], states)
    yield _named("nexus_time_seconds", time.time())


def _times(measures: Measures) -> Iterator[Metric]:
    yield _histogram("nexus_commit_seconds", measures.commit)
    yield _histogram("nexus_quorum_wait_seconds", measures.quorum_wait)
    yield _histogram("nexus_log_sync_seconds", measures.log_sync)
    yield _histogram("nexus_apply_seconds", measures.apply)
    yield _histogram("nexus_batch_transactions", measures.batch)
    yield _histogram("nexus_apply_batch_entries", measures.applied_batch)


def _counts(measures: Measures, figures: Figures) -> Iterator[Metric]:
    outcomes = ("committed", "refused", "unknown")
    transactions = {outcome: getattr(measures, outcome) for outcome in outcomes}
    yield _by_label("nexus_transactions_total", transactions)
    statements = {
        "read": measures.statements_read,
        "committed": measures.statements_committed,
        "refused": measures.statements_refused,
    }
    yield _by_label("nexus_statements_total", statements)
    yield _by_label("nexus_elections_total", measures.elections)
    yield _by_label("nexus_forwarded_writes_total", measures.forwarded)
    yield _by_label("nexus_http_requests_total", measures.http)
    yield _by_label("nexus_rejected_peers_total", figures.rejections)
    yield _named("nexus_native_sessions_total", measures.native_sessions)
    yield _named("nexus_snapshot_sent_bytes_total", measures.snapshot_sent_bytes)


def _holdings(measures: Measures, figures: Figures) -> Iterator[Metric]:
    yield _named("nexus_quorum_lost", figures.lacks_quorum)
    yield _named("nexus_witness_full", figures.witness_full)
    yield _named("nexus_log_entries", figures.log_entries)
    yield _named("nexus_log_size_bytes", figures.log_bytes)
    yield _named("nexus_database_size_bytes", figures.database_bytes)
    yield _named("nexus_database_wal_size_bytes", figures.database_wal_bytes)
    yield _named("nexus_disk_free_bytes", figures.disk_free_bytes)
    yield _named("nexus_disk_size_bytes", figures.disk_bytes)
    yield _named("nexus_snapshot_received_bytes", figures.snapshot_received_bytes)
    yield _named("nexus_snapshot_expected_bytes", figures.snapshot_expected_bytes)
    http = measures.http_connections()
    yield _by_label("nexus_open_connections", figures.connections | {"http": http})


def _fields(
    families: Iterable[Family], values: Mapping[tuple[str, ...], msgspec.Struct]
) -> Iterator[Metric]:
    """Each family shows one field of these values, which have labels."""
    for family in families:
        yield _family(
            family,
            [
                (labels, _number(getattr(value, family.source)))
                for labels, value in values.items()
            ],
        )


def _number(shown: float | str) -> float:
    """Of a text, whether it says anything."""
    return float(bool(shown)) if isinstance(shown, str) else float(shown)


def _named(name: str, value: float) -> Metric:
    return _family(FAMILIES[name], [((), float(value))])


def _by_label(name: str, values: Mapping[str, float]) -> Metric:
    # Another thread may count something for the first time meanwhile.
    samples = [((label,), float(value)) for label, value in dict(values).items()]
    return _family(FAMILIES[name], samples)


def _family(family: Family, samples: Iterable[Sample]) -> Metric:
    made: CounterMetricFamily | GaugeMetricFamily
    if family.kind is Kind.COUNTER:
        made = CounterMetricFamily(family.name, family.meaning, labels=family.labels)
    else:
        made = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made


def _histogram(name: str, observed: Histogram) -> Metric:
    buckets, total = observed.cumulative()
    return HistogramMetricFamily(
        name, FAMILIES[name].meaning, buckets=buckets, sum_value=total
    )
