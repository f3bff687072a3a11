"""Sync mode: what is acknowledged is on a quorum; what is not says so."""

import os
import signal
from typing import Any

import httpx
import pytest

from e2e.cluster import CLIENT, Cluster, NodeProcess, caught_up, wait_until
from e2e.ledger import Ledger, state

SYNC = {
    "NEXUS_REPLICATION_MODE": "sync",
    "NEXUS_REPLICATION_SYNC_TIMEOUT_MS": "500",
    "NEXUS_REPLICATION_HEARTBEAT_MS": "100",
    # A node that says nothing is waited for, and not given up, until the timeout.
    "NEXUS_REPLICATION_MISSED_HEARTBEATS": "600",
}


ENOUGH = 100
"""Acknowledged transactions before the plug is pulled."""


def signalled(node: NodeProcess, number: signal.Signals) -> None:
    """Stop or wake a process: it is there, and silent."""
    assert node.process is not None
    assert node.process.pid is not None
    os.kill(node.process.pid, number)


def attempt(node: NodeProcess, sql: str, name: str = "") -> httpx.Response:
    """One write, whatever becomes of it."""
    body = {"statements": [{"sql": sql}], "transaction_id": name}
    return CLIENT.post(f"{node.url}/sql", json=body, timeout=60.0)


def taken(node: NodeProcess, sql: str, name: str = "") -> dict[str, Any]:
    """One write, as soon as a quorum is there."""
    found: list[dict[str, Any]] = []

    def write() -> bool:
        answer = attempt(node, sql, name)
        if answer.status_code == 200:
            found.append(answer.json())
        return bool(found)

    wait_until(write, "a quorum takes the write")
    return found[0]


@pytest.fixture
def pair(cluster: Cluster) -> tuple[NodeProcess, NodeProcess]:
    """A master in sync mode and its replica, with a table."""
    master = cluster.master(**SYNC)
    replica = cluster.replica(master, **SYNC)
    taken(master, "create table if not exists promised(number integer, noise text)")
    return master, replica


def test_a_write_is_acknowledged_when_a_replica_holds_it(
    pair: tuple[NodeProcess, NodeProcess],
) -> None:
    master, replica = pair

    answer = taken(master, "insert into promised values (1, 'a')", "one")

    assert answer["outcome"] == "committed"
    assert answer["durable_on"] >= 2
    assert replica.status()["durable_offset"] >= answer["offset"]
    wait_until(lambda: caught_up(replica, answer["offset"]), "applied there too")
    assert replica.rows("select number from promised") == [(1,)]
    assert master.get("/replication/master/stats")["sync_acks"] >= 1


def test_without_a_quorum_writes_are_refused_and_reads_go_on(
    pair: tuple[NodeProcess, NodeProcess],
) -> None:
    master, replica = pair
    replica.kill()
    wait_until(
        lambda: (
            attempt(master, "insert into promised values (2, 'b')").status_code == 503
        ),
        "refused at once",
    )

    refused = attempt(master, "insert into promised values (3, 'c')")
    assert refused.json()["code"] == "quorum_lost"
    assert refused.headers["retry-after"]
    read = attempt(master, "select count(*) from promised where number = 3")
    assert read.json()["results"][0]["rows"] == [[0]]

    replica.start()
    taken(master, "insert into promised values (4, 'd')")


def test_a_late_quorum_answers_504_and_the_write_commits_when_it_returns(
    pair: tuple[NodeProcess, NodeProcess],
) -> None:
    master, replica = pair
    signalled(replica, signal.SIGSTOP)
    unknown = attempt(master, "insert into promised values (7, 'g')", "seven")

    assert unknown.status_code == 504
    assert unknown.json()["code"] == "outcome_unknown"
    offset = unknown.json()["offset"]
    assert master.rows("select * from promised where number = 7") == [], "not yet"

    signalled(replica, signal.SIGCONT)
    wait_until(lambda: caught_up(master, offset), "the waiting batch commits")
    again = taken(master, "insert into promised values (7, 'g')", "seven")
    assert again["offset"] == offset
    assert master.rows("select count(*) from promised where number = 7") == [(1,)]
    assert master.get("/replication/master/stats")["sync_timeouts"] >= 1


def test_what_was_acknowledged_survives_the_loss_of_the_master(
    cluster: Cluster,
) -> None:
    master = cluster.master(**SYNC)
    one = cluster.replica(master, "one", **SYNC)
    two = cluster.replica(master, "two", **SYNC)
    taken(master, "create table promised(number integer, noise text)", "table")
    ledger = Ledger(master)
    wait_until(lambda: ledger.acknowledged > ENOUGH, "a load runs")

    master.kill()
    ledger.finish()
    promised = ledger.promises()
    heir = max((one, two), key=lambda node: node.status()["durable_offset"])
    assert heir.post("/replication/promote", {"force": True}).status_code == 200

    other = two if heir is one else one
    order = {"role": "replica", "master_addr": heir.address}
    assert other.post("/replication/start", order).status_code == 200
    taken(heir, "insert into promised values (-1, 'of the new reign')")
    ledger.check_kept(promised, state(heir))


def test_a_master_that_stops_while_it_waits_ends_in_order(
    pair: tuple[NodeProcess, NodeProcess],
) -> None:
    master, replica = pair
    signalled(replica, signal.SIGSTOP)
    answer = attempt(master, "insert into promised values (9, 'i')")
    assert answer.status_code == 504

    assert master.terminate() == 0
    assert "Traceback" not in master.log_text()
    signalled(replica, signal.SIGCONT)
    master.start()
    taken(master, "insert into promised values (10, 'j')", "ten")
    assert master.rows("select number from promised where number > 8") == [(9,), (10,)]
