"""Bad networks between real processes: all of it heals, and nothing differs."""

import random
from contextlib import ExitStack

import pytest

from e2e.cluster import Cluster, NodeProcess, caught_up, wait_until
from e2e.ledger import Ledger, state
from e2e.proxy import REGIONS, FlippedBit, Proxy, proxy_to
from e2e.test_crash import SEED, assert_equal

pytestmark = pytest.mark.timeout(400)


def replica_behind(cluster: Cluster, proxy: Proxy, name: str) -> NodeProcess:
    """A replica that reaches its master through the proxy only; it streams."""
    replica = cluster.replica_at(proxy.address, name)
    wait_until(lambda: replica.status()["state"] == "streaming", "it streams")
    return replica


def test_a_flipped_bit_in_any_region_of_a_frame_ends_one_connection_only(
    cluster: Cluster,
) -> None:
    chance = random.Random(SEED)
    master = cluster.master()
    with ExitStack() as stack:
        proxies = [stack.enter_context(proxy_to(master)) for _ in REGIONS]
        replicas = [
            replica_behind(cluster, proxy, region)
            for proxy, region in zip(proxies, REGIONS, strict=True)
        ]
        ledger = Ledger(master, lanes=2)
        for direction in ("to_replica", "to_master"):
            flips = [FlippedBit(region, chance.randrange(8)) for region in REGIONS]
            before = [proxy.accepted for proxy in proxies]
            for proxy, flip in zip(proxies, flips, strict=True):
                setattr(proxy, direction, flip)
                proxy.cut()  # the spoiler sees the stream from its first byte
            wait_until(lambda: all(flip.done for flip in flips), "bits were flipped")  # noqa: B023
            for proxy, count, replica in zip(proxies, before, replicas, strict=True):
                wait_until(lambda: proxy.accepted >= count + 2, "it connects anew")  # noqa: B023
                offset = master.status()["wal_offset"]
                wait_until(lambda: caught_up(replica, offset), "it follows again")  # noqa: B023
        ledger.finish()
        assert_equal(master, replicas)


def test_a_stalled_network_is_noticed_and_the_replica_catches_up(
    cluster: Cluster,
) -> None:
    master = cluster.master()
    with proxy_to(master) as proxy:
        replica = replica_behind(cluster, proxy, "replica")
        ledger = Ledger(master)

        proxy.stall()
        wait_until(lambda: not replica.status()["connected"], "the replica noticed")
        wait_until(
            lambda: (
                not any(
                    known["healthy"]
                    for known in master.get("/replication/replicas")["replicas"]
                )
            ),
            "the master noticed",
        )
        stood = ledger.acknowledged
        wait_until(lambda: ledger.acknowledged > stood, "writes flow all the same")
        assert not replica.status()["connected"]
        proxy.flow()
        wait_until(lambda: replica.status()["state"] == "streaming", "it streams again")

        ledger.finish()
        ledger.check_kept(ledger.promises(), state(master))
        assert_equal(master, [replica])


def test_a_network_that_cuts_and_delays_leaves_no_gap(cluster: Cluster) -> None:
    master = cluster.master()
    with proxy_to(master) as proxy:
        replica = replica_behind(cluster, proxy, "replica")
        ledger = Ledger(master)
        for delay_s in (0.0, 0.05, 0.0):
            proxy.delay_s = delay_s
            offset = master.status()["wal_offset"]
            wait_until(lambda: caught_up(replica, offset), "it follows")  # noqa: B023
            proxy.cut()
        ledger.finish()
        assert_equal(master, [replica])
