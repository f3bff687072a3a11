"""A cluster of the previous release is upgraded node by node, and loses nothing.

The cluster has a secret: the proofs of a handshake are over whole messages, so that a
field more in one of them would part the releases.
"""

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import nexus
from e2e.cluster import (
    Cluster,
    NodeProcess,
    caught_up,
    master_of,
    wait_until,
)
from e2e.ledger import Ledger
from e2e.releases import installed, version_of
from e2e.test_failover import SYNC, check_equal, goes_on, has_followers, under_load

SECRET = {"NEXUS_CLUSTER_SECRET": "kept by all nodes"}
SETTINGS = SYNC | SECRET | {"NEXUS_REPLICATION_HEARTBEAT_MS": "200"}
"""Patient enough for nodes that start while others are busy."""

UPGRADE_LIMIT_S = 600


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous release's Python."""
    return installed(tmp_path_factory.mktemp("previous") / "venv")


def replace_by(release: Path | None, node: NodeProcess) -> None:
    """Stop the node in order and start it again as another release."""
    assert node.terminate() == 0
    node.release = release
    node.start()


def hands_over(master: NodeProcess, heir: NodeProcess) -> None:
    """Switch over, as often as it takes under load."""
    to = {"to": heir.status()["node_id"]}

    def done() -> bool:
        answer = master.post("/replication/switchover", to)
        return answer.status_code == 200 or master.status()["role"] == "replica"

    wait_until(done, "the switchover is done")


def all_follow(nodes: list[NodeProcess]) -> NodeProcess:
    """The master, once everybody else streams from it."""
    found: list[NodeProcess] = []

    def follow() -> bool:
        found[:] = [master_of(nodes)]
        return has_followers(found[0], len(nodes) - 1)

    wait_until(follow, "all follow")
    return found[0]


def write_natively(nodes: list[NodeProcess], value: str) -> None:
    """By this release's client, with the protocol that nodes speak to each other."""
    addresses = ",".join(node.address for node in nodes)
    secret = SECRET["NEXUS_CLUSTER_SECRET"]
    with closing(nexus.connect(f"nexus://{addresses}", secret=secret)) as client:
        client.execute("insert into t(v) values (?)", (value,))
        client.commit()


def test_the_wheel_is_the_previous_release(previous: Path) -> None:
    assert version_of(previous) == "0.1.0" != nexus.__version__


@pytest.mark.timeout(UPGRADE_LIMIT_S)
def test_a_cluster_is_upgraded_node_by_node_under_load(
    cluster: Cluster, previous: Path
) -> None:
    """In order: the replicas first, then the master, away from which one switches."""
    nodes = cluster.voters(settings=SETTINGS, release=previous)
    master, ledger = under_load(nodes)
    while len(older := [node for node in nodes if node.release is not None]) > 1:
        # Whoever reigns by now: on a busy machine there may be an election.
        master = all_follow(nodes)
        replace_by(None, next(node for node in older if node is not master))
        all_follow(nodes)
        goes_on(ledger)
    (last,) = older
    if all_follow(nodes) is last:
        hands_over(last, next(node for node in nodes if node is not last))
        goes_on(ledger)
        all_follow(nodes)
    replace_by(None, last)
    all_follow(nodes)
    goes_on(ledger)

    check_equal(nodes, ledger)
    assert all("held_back" in node.status() for node in nodes), "all are of today"


@pytest.mark.campaign
@pytest.mark.timeout(UPGRADE_LIMIT_S)
def test_masters_of_both_releases_may_die_in_the_midst_of_an_upgrade(
    cluster: Cluster, previous: Path
) -> None:
    nodes = cluster.voters(settings=SETTINGS, release=previous)
    master, ledger = under_load(nodes)
    first = next(node for node in nodes if node is not master)
    replace_by(None, first)
    all_follow(nodes)
    for release in (None, None, previous, None):
        # The old voter elects a newer candidate, and the newer one an older.
        master = all_follow(nodes)
        master.kill()
        goes_on(ledger)
        master.release = release
        master.start()
    for node in nodes:
        if node.release is not None:
            replace_by(None, node)
    all_follow(nodes)
    goes_on(ledger)

    check_equal(nodes, ledger)


@pytest.mark.campaign
@pytest.mark.timeout(UPGRADE_LIMIT_S)
@pytest.mark.parametrize("newer_is_master", [True, False])
def test_a_new_replica_is_filled_by_a_master_of_the_other_release(
    cluster: Cluster, previous: Path, *, newer_is_master: bool
) -> None:
    """By a full sync: the master's log does not reach back to the first entry."""
    short = SECRET | {"NEXUS_REPLICATION_MAX_LOG_SIZE": "100"}
    master = NodeProcess(cluster.directory / "master", settings=short)
    replica = NodeProcess(cluster.directory / "late", "replica", master.address, short)
    older = replica if newer_is_master else master
    older.release = previous
    cluster.nodes += [master, replica]
    master.start()
    ledger = Ledger(master, lanes=1)
    wait_until(
        lambda: master.get("/replication/stats")["current_offset"] > 150, "it is long"
    )
    ledger.finish()
    made = master.post("/replication/snapshot").json()

    replica.start()
    end = master.status()["wal_offset"]
    wait_until(partial(caught_up, replica, end), "it has all")

    assert made["wal_offset"] <= end
    assert replica.rows("select * from ledger") == master.rows("select * from ledger")


@pytest.mark.campaign
@pytest.mark.timeout(UPGRADE_LIMIT_S)
def test_a_write_at_a_node_of_one_release_reaches_the_master_of_the_other(
    cluster: Cluster, previous: Path
) -> None:
    """Forwarded over HTTP, and with the native protocol to a node of either release."""
    nodes = cluster.voters(settings=SETTINGS, release=previous)
    master = master_of(nodes)
    master.sql("create table t(id integer primary key, v)")
    newer, older = [node for node in nodes if node is not master]
    replace_by(None, newer)
    all_follow(nodes)

    newer.sql("insert into t(v) values ('by the newer')")
    write_natively(nodes, "natively")
    hands_over(master, newer)
    all_follow(nodes)
    done = older.sql("insert into t(v) values ('by the older')")

    write_natively(nodes, "natively again")
    assert done["durable_on"] >= 2
    assert [v for (v,) in newer.rows("select v from t order by id")] == [
        "by the newer",
        "natively",
        "by the older",
        "natively again",
    ]


@pytest.mark.timeout(UPGRADE_LIMIT_S)
def test_the_previous_release_takes_a_directory_back_while_the_layout_is_the_same(
    cluster: Cluster, previous: Path
) -> None:
    node = cluster.master()
    node.sql("create table t(v)")
    node.sql("insert into t values (1)")

    replace_by(previous, node)
    node.sql("insert into t values (2)")
    replace_by(None, node)

    assert node.rows("select v from t order by v") == [(1,), (2,)]
