"""Pull the plug at random instants; nothing acknowledged may be missing or doubled."""

import os
import random
import time
from functools import partial
from typing import Final

import pytest

from e2e.cluster import Cluster, NodeProcess, caught_up, fingerprints, wait_until
from e2e.ledger import Ledger, check_beginning, state

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "12"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
LONGEST_REIGN_S = 0.4

pytestmark = pytest.mark.timeout(300 + 10 * ROUNDS)


@pytest.mark.parametrize("victims", ["master", "replica", "master and replica"])
def test_no_promise_is_lost_or_kept_twice_when_nodes_are_killed(
    cluster: Cluster, victims: str
) -> None:
    chance = random.Random(f"{SEED} {victims}")
    nodes = {"master": cluster.master()}
    nodes["replica"] = cluster.replica(nodes["master"])
    ledger = Ledger(nodes["master"])
    for _ in range(ROUNDS // 3):
        before = ledger.acknowledged
        time.sleep(chance.uniform(0, LONGEST_REIGN_S))
        killed = [nodes[name] for name in victims.split(" and ")]
        for node in killed:
            node.kill()
        promised = ledger.promises()
        replicated = state(nodes["replica"])
        for node in killed:
            node.start()
        wait_until(lambda: ledger.acknowledged > before, "writes flow")  # noqa: B023
        written = state(nodes["master"])
        ledger.check_kept(promised, written)
        check_beginning(replicated, written)
    ledger.finish()
    ledger.check_kept(ledger.promises(), state(nodes["master"]))
    assert_equal(nodes["master"], [nodes["replica"]])


CATCH_UP_LIMIT_S: Final = 100.0
"""A replica that often found nobody waits for up to a minute before it dials again."""


def assert_equal(master: NodeProcess, replicas: list[NodeProcess]) -> None:
    """All nodes hash every table to the same, at one offset; every file is whole."""
    assert_hashes_equal(master, replicas)
    for node in (master, *replicas):
        assert node.rows("pragma integrity_check") == [("ok",)]


def assert_hashes_equal(master: NodeProcess, replicas: list[NodeProcess]) -> None:
    """All nodes hash every table to the same, at one offset."""
    offset = master.status()["wal_offset"]
    for replica in replicas:
        has_all = partial(caught_up, replica, offset)
        wait_until(has_all, "caught up", CATCH_UP_LIMIT_S)
    expected, *others = fingerprints([master, *replicas], master)
    assert expected["tables"]
    for other in others:
        assert other == expected
