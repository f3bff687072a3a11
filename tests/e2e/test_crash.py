"""Pull the plug at random instants; nothing acknowledged may be missing."""

import os
import random

import pytest

from e2e.cluster import (
    Cluster,
    NodeProcess,
    Writer,
    caught_up,
    fingerprints,
    wait_until,
)

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "6"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))

pytestmark = pytest.mark.timeout(60 + 20 * ROUNDS)


def test_no_acknowledged_write_is_lost_when_the_master_is_killed(
    cluster: Cluster,
) -> None:
    chance = random.Random(SEED)
    master = cluster.master()
    replica = cluster.replica(master)
    master.sql("create table promised(number integer primary key, noise text)")
    acknowledged: list[int] = []
    start = 0
    for _ in range(ROUNDS):
        writers = [Writer(master, start + 100_000 * i) for i in range(4)]
        for writer in writers:
            writer.start()
        wait_until(lambda: len(writers[0].acknowledged) > 20, "writes flow")  # noqa: B023
        writers[0].join(chance.uniform(0, 0.4))
        master.kill()
        for writer in writers:
            writer.finish()
            acknowledged += writer.acknowledged
        start += 1_000_000
        master.start()

        present = {row[0] for row in master.rows("select number from promised")}
        assert set(acknowledged) <= present
    assert_equal(master, [replica])


def test_a_killed_replica_applies_every_entry_exactly_once(cluster: Cluster) -> None:
    chance = random.Random(SEED)
    master = cluster.master()
    replica = cluster.replica(master)
    master.sql("create table promised(number integer primary key, noise text)")
    writer = Writer(master, 0)
    writer.start()
    for _ in range(ROUNDS):
        target = writer.offset + chance.randint(20, 100)
        wait_until(lambda: caught_up(replica, target), "the replica follows")  # noqa: B023
        replica.kill()
        replica.start()
    writer.finish()
    assert_equal(master, [replica])


def assert_equal(master: NodeProcess, replicas: list[NodeProcess]) -> None:
    """All nodes hash every table to the same, at one offset."""
    offset = master.status()["wal_offset"]
    for replica in replicas:
        wait_until(lambda: caught_up(replica, offset), "caught up")  # noqa: B023
    expected, *others = fingerprints([master, *replicas], master)
    assert expected["tables"]
    for other in others:
        assert other == expected
    for node in (master, *replicas):
        assert node.rows("pragma integrity_check") == [("ok",)]
