"""Nodes under a real etcd of three members: who reigns, what is lost (nothing)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import Cluster, NodeProcess, fingerprints, wait_until
from e2e.etcd import Etcd, running_etcd

LIMIT_S = 90.0

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    with running_etcd(tmp_path / "etcd") as running:
        yield running


@pytest.fixture
def nodes(tmp_path: Path, etcd: Etcd) -> Iterator[list[NodeProcess]]:
    """Three nodes that soon give a dead master up; the first begins the cluster."""
    with started(tmp_path, etcd, heartbeat_ms=1_000) as running:
        yield running


@pytest.fixture
def patient_nodes(tmp_path: Path, etcd: Etcd) -> Iterator[list[NodeProcess]]:
    """The same with a lease that outlasts an election among etcd's members."""
    with started(tmp_path, etcd, heartbeat_ms=3_000) as running:
        yield running


@contextmanager
def started(
    tmp_path: Path, etcd: Etcd, *, heartbeat_ms: int
) -> Iterator[list[NodeProcess]]:
    cluster = Cluster(tmp_path)
    settings = {
        "NEXUS_REPLICATION_COORDINATOR": "etcd",
        "NEXUS_REPLICATION_ETCD_ENDPOINTS": etcd.endpoints,
        "NEXUS_REPLICATION_MODE": "sync",
        "NEXUS_REPLICATION_HEARTBEAT_MS": str(heartbeat_ms),
        "NEXUS_REPLICATION_MISSED_HEARTBEATS": "3",
    }
    for name in "abc":
        role = "master" if name == "a" else "replica"
        node = NodeProcess(tmp_path / name, role, settings=settings)
        cluster.nodes.append(node)
        node.start()
    yield cluster.nodes
    cluster.close()


def takes_writes(node: NodeProcess) -> bool:
    """Whether it is the master, and a write is acknowledged there."""
    if node.status()["role"] != "master":
        return False
    return insert(node, 0)


def insert(node: NodeProcess, number: int) -> bool:
    body = {
        "statements": [
            {"sql": "create table if not exists t(n int)"},
            {"sql": "insert into t values (?)", "params": [number]},
        ]
    }
    return bool(node.post("/sql", body).status_code == 200)


def master_among(nodes: list[NodeProcess]) -> NodeProcess:
    """The node that acknowledges writes, once there is one."""
    found: list[NodeProcess] = []

    def there() -> bool:
        found.extend(node for node in nodes if takes_writes(node))
        return bool(found)

    wait_until(there, "one of the nodes takes writes", LIMIT_S)
    return found[0]


def states(node: NodeProcess) -> dict[str, Any]:
    """The replicas that the master knows, by their state."""
    replicas = node.get("/replication/replicas")["replicas"]
    return {replica["id"]: replica["state"] for replica in replicas}


def numbers(node: NodeProcess) -> set[int]:
    return {number for (number,) in node.rows("select n from t")}


def has(node: NodeProcess, number: int) -> bool:
    return number in numbers(node)


def all_follow(master: NodeProcess, count: int) -> None:
    def follow() -> bool:
        return list(states(master).values()).count("streaming") == count

    wait_until(follow, f"{count} replicas stream", LIMIT_S)


def test_a_killed_master_is_replaced_and_comes_back_as_a_replica(
    nodes: list[NodeProcess],
) -> None:
    first = master_among(nodes)
    all_follow(first, 2)
    assert first is nodes[0]
    acknowledged = {number for number in range(1, 50) if insert(first, number)}

    first.kill()
    second = master_among([node for node in nodes if node is not first])
    first.start()
    all_follow(second, 2)

    assert acknowledged <= numbers(second)
    wait_until(partial(insert, second, 100), "the new master takes writes")
    assert first.status()["role"] == "replica"
    hashes = fingerprints(nodes, second)
    assert hashes[0] == hashes[1] == hashes[2]


def test_the_loss_of_one_member_of_etcd_changes_nothing(
    etcd: Etcd, patient_nodes: list[NodeProcess]
) -> None:
    master = master_among(patient_nodes)
    all_follow(master, 2)
    epoch = master.status()["epoch"]

    for member in etcd.members:
        member.kill()
        assert all(insert(master, number) for number in range(1, 20))
        etcd.start(member)
        wait_until(etcd.answers, "etcd has a leader")

    assert master.status()["epoch"] == epoch
    assert master.status()["role"] == "master"


def test_without_etcd_writes_stop_reads_go_on_and_all_comes_back(
    etcd: Etcd, nodes: list[NodeProcess]
) -> None:
    master = master_among(nodes)
    all_follow(master, 2)
    wait_until(partial(insert, master, 1), "a write is acknowledged")
    for node in nodes:
        wait_until(partial(has, node, 1), "each node shows it")

    for member in etcd.members:
        member.kill()
    wait_until(lambda: master.status()["role"] == "replica", "it steps down", LIMIT_S)

    assert not any(insert(node, 2) for node in nodes)
    assert [1 in numbers(node) for node in nodes] == [True, True, True]
    etcd.start_all()
    second = master_among(nodes)
    all_follow(second, 2)
    assert 1 in numbers(second)
    wait_until(partial(insert, second, 3), "writes are taken again")
