"""Nodes under a real etcd, every fault of either: no promise is lost or doubled."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster import Cluster, NodeProcess
from e2e.etcd import running_etcd
from e2e.etcdfaults import LEASE_S, KeyedScene, deck
from e2e.namespaces import networked
from e2e.record import Record
from e2e.test_chaos import LANES, check_equal, made, settled, told, writing
from e2e.test_crash import ROUNDS, SEED
from e2e.test_rejoin import verified

MISSED: Final = 4
SETTINGS: Final = {
    "NEXUS_INSECURE": "true",
    "NEXUS_REPLICATION_COORDINATOR": "etcd",
    "NEXUS_REPLICATION_MODE": "sync",
    "NEXUS_REPLICATION_HEARTBEAT_MS": str(round(LEASE_S * 1000 / MISSED)),
    "NEXUS_REPLICATION_MISSED_HEARTBEATS": str(MISSED),
    "NEXUS_REPLICATION_SYNC_TIMEOUT_MS": "1000",
}

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(300 + 60 * ROUNDS)]


@contextmanager
def staged(directory: Path, seed: int) -> Iterator[KeyedScene]:
    """Three nodes and etcd on a network of six machines, with the clients' tables."""
    with (
        networked(6) as network,
        running_etcd(directory / "etcd", network.machines[3:]) as etcd,
    ):
        cluster = Cluster(directory)
        try:
            endpoints = {"NEXUS_REPLICATION_ETCD_ENDPOINTS": etcd.endpoints}
            for name, machine in zip("abc", network.machines, strict=False):
                role = "master" if name == "a" else "replica"
                node = NodeProcess(
                    directory / name, role, settings=SETTINGS | endpoints
                )
                node.host, node.namespace = machine.address, str(machine.namespace)
                cluster.nodes.append(node)
                node.start()
            made(cluster.nodes)
            yield KeyedScene(cluster.nodes, network, random.Random(seed), etcd)
        finally:
            cluster.close()


def test_no_fault_of_nodes_or_etcd_loses_or_doubles_a_promise(tmp_path: Path) -> None:
    record = Record()
    with staged(tmp_path, SEED) as scene:
        settled(scene.nodes)
        faults = deck(scene.chance)
        for number in range(1, ROUNDS + 1):
            fault = next(faults)
            told(f"seed {SEED} round {number}: {fault.__name__}")
            with writing(scene.nodes, record, LANES * number):
                scene.linger(0.1, 0.4)
                fault(scene)
                scene.heal()
            master = settled(scene.nodes)
            record.check(scene.nodes)
            check_equal(scene.nodes, master)
        verified(*scene.nodes)
