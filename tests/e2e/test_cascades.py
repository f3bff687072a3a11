"""A replica follows a replica, with real processes that are killed."""

from functools import partial

import pytest

from e2e.cluster import Cluster, NodeProcess, caught_up, fingerprints, wait_until
from e2e.ledger import Ledger
from e2e.test_failover import goes_on

CASCADE = {
    "NEXUS_REPLICATION_CASCADE": "true",
    "NEXUS_REPLICATION_HEARTBEAT_MS": "200",
    "NEXUS_CLUSTER_SECRET": "kept by all",
}
SECRET = {"NEXUS_CLUSTER_SECRET": "kept by all"}


def has_all(nodes: list[NodeProcess], master: NodeProcess) -> None:
    offset = master.status()["wal_offset"]
    for node in nodes:
        wait_until(partial(caught_up, node, offset), f"{node.url} has all")


@pytest.mark.timeout(400)
def test_a_write_at_the_end_of_a_chain_reaches_the_master_and_comes_back(
    cluster: Cluster,
) -> None:
    master = cluster.master(**SECRET)
    near = cluster.replica(master, "near", **SECRET)
    far = cluster.replica(near, "far", **CASCADE)
    farther = cluster.replica(far, "farther", **CASCADE)
    master.sql("create table t(id integer primary key, v)")
    has_all([near, far, farther], master)

    done = farther.sql("insert into t(v) values ('from afar')")

    wait_until(partial(caught_up, farther, done["offset"]), "it has come back")
    assert farther.rows("select v from t") == [("from afar",)]
    status = farther.status()
    assert status["upstream_id"] == far.status()["node_id"]
    assert status["master_id"] == master.status()["node_id"]


@pytest.mark.timeout(400)
def test_under_load_a_killed_link_of_the_chain_costs_nothing(cluster: Cluster) -> None:
    master = cluster.master(**SECRET)
    near = cluster.replica(master, "near", **SECRET)
    far = cluster.replica(near, "far", **CASCADE)
    ledger = Ledger(master, lanes=2)
    goes_on(ledger)
    wait_until(lambda: far.status()["upstream_id"] == near.status()["node_id"], "far")

    near.kill()
    goes_on(ledger)
    near.start()
    goes_on(ledger)
    near.kill()
    wait_until(
        lambda: far.status()["upstream_id"] == master.status()["node_id"],
        "the upstream's own upstream is followed",
        limit_s=60,
    )
    near.start()
    ledger.finish()

    has_all([near, far], master)
    first, *rest = fingerprints([master, near, far], master)
    assert all(one == first for one in rest)
