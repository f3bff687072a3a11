"""Nodes that do not belong together: each is told in a line, and nothing changes."""

import shutil
import socket
from contextlib import closing
from typing import Any, Final

import msgspec
import pytest

from e2e.cluster import Cluster, NodeProcess, caught_up, free_port, wait_until
from e2e.test_crash import assert_equal
from nexus.model.cluster import NodeId
from nexus.model.position import ORIGIN, Epoch, EpochHistory
from nexus.protocol.codec import Decoder, encode
from nexus.protocol.messages import Error, Hello, Message

pytestmark = pytest.mark.timeout(400)

ONE: Final = {"NEXUS_CLUSTER_SECRET": "open sesame"}
OTHER: Final = {"NEXUS_CLUSTER_SECRET": "close sesame"}
NONE: Final[dict[str, str]] = {}

A_HELLO: Final = Hello(
    protocol_least=1,
    protocol_most=1,
    cluster_id="",
    history=EpochHistory(),
    node_id=NodeId("stranger"),
    address="127.0.0.1:1",
    http_url="http://127.0.0.1:1",
    epoch=Epoch(0),
    position=ORIGIN,
)


def master_with_a_row(cluster: Cluster, name: str, **settings: str) -> NodeProcess:
    master = cluster.master(name, **settings)
    master.sql("create table t(id integer primary key, word text)")
    master.sql("insert into t(word) values (?)", name)
    return master


def standing(node: NodeProcess) -> dict[str, Any]:
    """What a stranger must not change."""
    status = node.status()
    kept = ("cluster_id", "epoch", "wal_offset", "applied_offset", "role")
    schema = node.rows("select sql from sqlite_schema") if node.database.exists() else 0
    return {key: status[key] for key in kept} | {"schema": schema}


def wait_told(node: NodeProcess, words: str) -> None:
    """`words` stand in the node's status and, on one line, in its log."""
    wait_until(lambda: words in node.status()["last_error"], f"told: {words}")
    assert "\n" not in node.status()["last_error"]
    assert_logged(node, words)


def assert_logged(node: NodeProcess, words: str) -> None:
    def is_logged() -> bool:
        text = node.log_path.read_text(errors="replace")
        return any(words in line for line in text.splitlines())

    wait_until(is_logged, f"logged: {words}")


def answer_to(node: NodeProcess, message: Message) -> Message:
    """What the node's replication port says to this first message."""
    decoder = Decoder()
    with socket.create_connection(("127.0.0.1", node.wire_port), 60.0) as peer:
        peer.sendall(encode(message))
        while data := peer.recv(65536):
            if messages := decoder.feed(data):
                return messages[0]
    raise AssertionError("it closed without a word")


@pytest.mark.parametrize(
    ("masters", "replicas"),
    [(ONE, OTHER), (ONE, NONE), (NONE, ONE)],
    ids=["another secret", "a secret at the master only", "at the replica only"],
)
def test_nodes_that_share_no_secret_exchange_nothing(
    cluster: Cluster, masters: dict[str, str], replicas: dict[str, str]
) -> None:
    master = master_with_a_row(cluster, "master", **masters)
    before = standing(master)
    replica = cluster.replica(master, **replicas)
    fresh = standing(replica)

    wait_told(replica, "does not know this cluster's secret")

    assert standing(replica) == fresh
    assert standing(master) == before
    assert master.status()["replica_count"] == 0
    if masters:
        assert_logged(master, "does not know this cluster's secret")
        assert master.get("/replication/master/stats")["rejected_connections"] > 0


def test_a_shared_secret_lets_a_replica_follow(cluster: Cluster) -> None:
    master = master_with_a_row(cluster, "master", **ONE)
    replica = cluster.replica(master, **ONE)
    assert_equal(master, [replica])


def test_a_node_of_another_protocol_version_is_told_who_is_older(
    cluster: Cluster,
) -> None:
    master = master_with_a_row(cluster, "master")
    before = standing(master)
    newer = msgspec.structs.replace(A_HELLO, protocol_least=7, protocol_most=9)

    answer = answer_to(master, newer)

    assert isinstance(answer, Error)
    assert answer.code == "version"
    assert "speaks protocol 7 to 9, this node 1 to 1; upgrade the" in answer.message
    assert_logged(master, "speaks protocol 7 to 9")
    assert standing(master) == before


def test_what_a_stranger_says_stays_on_one_line_of_the_log(cluster: Cluster) -> None:
    master = master_with_a_row(cluster, "master")
    node_id = NodeId("x\n2026-01-01 [error] forged \x1b[31m")
    forger = msgspec.structs.replace(A_HELLO, cluster_id="other", node_id=node_id)

    answer = answer_to(master, forger)

    assert isinstance(answer, Error)
    assert_logged(master, "holds data of cluster other")
    assert "\x1b" not in master.log_text()
    assert not any(
        line.startswith("2026-01-01 [error]") for line in master.log_text().splitlines()
    )


def test_a_replica_that_follows_itself_is_told_so(cluster: Cluster) -> None:
    port = free_port()
    replica = cluster.replica_at(
        f"localhost:{port}", NEXUS_REPLICATION_BIND_ADDR=f"127.0.0.1:{port}"
    )
    fresh = standing(replica)
    wait_told(replica, "has reached itself, or a copy of itself: name its")
    assert standing(replica) == fresh


def test_a_replica_of_a_replica_is_sent_to_the_master(cluster: Cluster) -> None:
    master = master_with_a_row(cluster, "master")
    middle = cluster.replica(master, "middle")
    wait_until(lambda: middle.status()["connected"], "connected")

    last = cluster.replica(middle, "last")

    assert_equal(master, [middle, last])
    assert_logged(last, f"{middle.status()['node_id']} is a replica")
    assert last.status()["master_url"] == master.url


def test_a_replica_of_a_replica_without_a_master_is_told_so(cluster: Cluster) -> None:
    middle = cluster.replica_at(f"127.0.0.1:{free_port()}", "middle")
    last = cluster.replica(middle, "last")
    fresh = standing(last)
    wait_told(last, f"{middle.status()['node_id']} is a replica")
    assert standing(last) == fresh


def test_two_nodes_never_share_a_data_directory(cluster: Cluster) -> None:
    master = master_with_a_row(cluster, "master")
    before = standing(master)
    assert master.process is not None
    second = NodeProcess(master.data_dir, log_dir=cluster.directory / "second")
    assert second.log_dir is not None
    second.log_dir.mkdir()
    cluster.nodes.append(second)

    second.start(wait=False)

    assert second.wait_ended() == 1
    said = [line for line in second.log_text().splitlines() if line]
    assert len(said) == 1
    assert f"is in use by process {master.process.pid}; stop it first" in said[0]
    assert standing(master) == before
    master.sql("insert into t(word) values ('goes on')")


def test_a_replica_of_another_cluster_keeps_its_data(cluster: Cluster) -> None:
    own = master_with_a_row(cluster, "own")
    other = master_with_a_row(cluster, "other")
    replica = cluster.replica(own)
    offset = own.status()["wal_offset"]
    wait_until(lambda: caught_up(replica, offset), "caught up")
    replica.terminate()
    replica.master_addr = other.address
    replica.start()

    wait_told(replica, f"this is cluster {other.status()['cluster_id']}; nothing was")

    assert_logged(other, "nothing was changed")
    assert replica.rows("select word from t") == [("own",)]
    assert other.status()["replica_count"] == 0
    replica.terminate()
    replica.master_addr = own.address
    replica.start()
    own.sql("insert into t(word) values ('again')")
    assert_equal(own, [replica])


def test_a_copy_of_a_node_is_told_that_it_is_one(cluster: Cluster) -> None:
    master = master_with_a_row(cluster, "master")
    master.terminate()
    shutil.copytree(master.data_dir, cluster.directory / "copy")
    master.start()
    copy = cluster.master("copy")
    copy.post("/replication/start", {"role": "replica", "master_addr": master.address})
    wait_told(copy, "its data directory is a copy; give it an empty one")
    assert master.status()["replica_count"] == 0


def test_a_port_on_which_no_node_speaks_is_named(cluster: Cluster) -> None:
    master = master_with_a_row(cluster, "master")
    replica = cluster.replica_at(f"127.0.0.1:{master.http_port}")
    wait_told(replica, f"127.0.0.1:{master.http_port}")
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        replica.terminate()
        replica.master_addr = f"127.0.0.1:{silent.getsockname()[1]}"
        replica.settings["NEXUS_REPLICATION_CONNECT_TIMEOUT_MS"] = "300"
        replica.start()
        wait_told(replica, f"{replica.master_addr} does not answer")
