"""Pull the plug in a full sync, at every stage of it: it heals, and nothing differs."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import httpx
import pytest

from e2e.cluster import START_LIMIT_S, Cluster, NodeProcess, fill
from e2e.ledger import Ledger, check_beginning, state
from e2e.proxy import proxy_to
from e2e.test_crash import ROUNDS, SEED, assert_equal

MEGABYTES: Final = 2
STEP_BYTES: Final = (MEGABYTES << 20) // 3
LOG_ENTRIES: Final = 1_000
PAUSE_S: Final = 0.001
"""For each chunk on its way: the transfer lasts half a second or more."""
LONGEST_STAGE_S: Final = 0.02

pytestmark = pytest.mark.timeout(300 + 10 * ROUNDS)


def master_without_its_first_entries(cluster: Cluster) -> NodeProcess:
    """A few megabytes that only a snapshot can bring to a replica, in many chunks."""
    master = cluster.master(
        NEXUS_REPLICATION_MAX_LOG_SIZE=str(LOG_ENTRIES),
        NEXUS_SNAPSHOT_CHUNK_SIZE="4096",
    )
    fill(master, megabytes=MEGABYTES)
    touch = {"sql": "update bulk set noise = randomblob(9) where id = 1"}
    body = {"statements": [touch] * 2 * LOG_ENTRIES, "transaction": False}
    assert master.post("/sql", body).status_code == 200
    return master


def arrived(replica: NodeProcess) -> int:
    """Bytes of the snapshot that this replica is receiving."""
    path = replica.data_dir / "snapshots" / "incoming" / "archive.part"
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def has_come_to(replica: NodeProcess, size: int) -> bool:
    """Whether so many bytes have arrived: of the snapshot, or all of them."""
    return arrived(replica) > size or is_whole(replica)


def is_whole(replica: NodeProcess) -> bool:
    """Whether all chunks have arrived: the snapshot is being installed, or is."""
    incoming = replica.data_dir / "snapshots" / "incoming"
    unpacked = (incoming / "nexus.db").exists()
    arriving = (incoming / "archive.part").exists()
    return (unpacked and not arriving) or state(replica) != []


def kill_and_start(replica: NodeProcess, master: NodeProcess) -> None:
    """What it shows in between is a state that its master had."""
    replica.kill()
    check_beginning(state(replica), state(master))
    replica.start(wait=False)


def is_making(master: NodeProcess) -> bool:
    """Whether the master makes a snapshot just now."""
    return any((master.data_dir / "snapshots").glob("*.work"))


def wait_for(stage: Callable[[], object], what: str) -> None:
    """As `wait_until`, for what lasts a few milliseconds."""
    deadline = time.monotonic() + START_LIMIT_S
    while not stage():
        assert time.monotonic() < deadline, what


def test_a_replica_killed_in_a_full_sync_goes_on_and_heals(cluster: Cluster) -> None:
    chance = random.Random(f"{SEED} replica")
    master = master_without_its_first_entries(cluster)
    ledger = Ledger(master, lanes=1)
    with proxy_to(master) as proxy:
        proxy.delay_s = PAUSE_S
        for number in range(max(1, ROUNDS // 12)):
            replica = cluster.replica_at(proxy.address, f"replica-{number}")
            goal = 0
            for _ in range(2):
                goal += chance.randrange(STEP_BYTES)
                wait_for(lambda: has_come_to(replica, goal), "it receives")  # noqa: B023
                kill_and_start(replica, master)
            wait_for(lambda: is_whole(replica), "it installs")  # noqa: B023
            time.sleep(chance.uniform(0, LONGEST_STAGE_S))
            kill_and_start(replica, master)
            assert_equal(master, [replica])
            replica.terminate()
    ledger.finish()
    ledger.check_kept(ledger.promises(), state(master))


def test_a_master_killed_while_it_makes_or_sends_a_snapshot_heals(
    cluster: Cluster,
) -> None:
    chance = random.Random(f"{SEED} master")
    master = master_without_its_first_entries(cluster)
    ledger = Ledger(master, lanes=1)
    with proxy_to(master) as proxy:
        proxy.delay_s = PAUSE_S
        for number in range(max(1, ROUNDS // 12)):
            asking = caught_making_a_snapshot(master)
            time.sleep(chance.uniform(0, LONGEST_STAGE_S))
            pull_the_plug(master, ledger)
            asking.join()
            replica = cluster.replica_at(proxy.address, f"replica-{number}")
            goal = chance.randrange(STEP_BYTES)
            wait_for(lambda: has_come_to(replica, goal), "it receives")  # noqa: B023
            pull_the_plug(master, ledger)
            assert_equal(master, [replica])
            replica.terminate()
    ledger.finish()
    assert not is_making(master)


def caught_making_a_snapshot(master: NodeProcess) -> threading.Thread:
    """Whoever has asked for it; asks again if it was over before it was seen."""
    asking = threading.Thread(target=ask_for_a_snapshot, args=(master,))
    asking.start()
    while not is_making(master):
        if not asking.is_alive():
            return caught_making_a_snapshot(master)
    return asking


def ask_for_a_snapshot(master: NodeProcess) -> None:
    with suppress(httpx.HTTPError):
        master.post("/replication/snapshot")


def pull_the_plug(master: NodeProcess, ledger: Ledger) -> None:
    """Kill it and start it again: it kept its promises."""
    master.kill()
    promised = ledger.promises()
    master.start()
    ledger.check_kept(promised, state(master))
