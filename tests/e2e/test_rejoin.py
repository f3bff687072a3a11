"""A master that was cut off or killed comes back by a rewind, with real processes."""

import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

from e2e.cluster import (
    CLIENT,
    Cluster,
    NodeProcess,
    caught_up,
    fill,
    wait_until,
)
from e2e.test_crash import assert_equal

ONLY_HERE = 200
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "12")) // 2
SEED = int(os.environ.get("CHAOS_SEED", "1"))


def parted(cluster: Cluster, *, megabytes: int = 4) -> tuple[NodeProcess, NodeProcess]:
    """A master with entries that its replica has not got."""
    master = cluster.master()
    heir = cluster.replica(master, "heir")
    fill(master, megabytes=megabytes)
    master.sql("create table t(id integer primary key autoincrement, word text)")
    offset = master.sql("insert into t(word) values ('kept')")["offset"]
    wait_until(lambda: caught_up(heir, offset), "caught up")
    assert master.post("/replication/pause").status_code == 200
    for number in range(ONLY_HERE):
        master.sql("insert into t(word) values (?)", f"only here {number}")
    master.sql("update t set word = 'changed' where word = 'kept'")
    return master, heir


def promoted(heir: NodeProcess) -> None:
    answer = heir.post("/replication/promote", {"force": True})
    assert answer.status_code == 200, answer.text
    heir.sql("insert into t(word) values ('new reign')")


def came_back(old: NodeProcess, new: NodeProcess) -> dict[str, Any]:
    """Return its figures once the old master has all that the new one has."""

    def is_level() -> bool:
        own, other = old.status(), new.status()
        wanted = ("replica", "streaming", other["epoch"], other["wal_offset"])
        names = ("role", "state", "epoch", "applied_offset")
        return tuple(own[name] for name in names) == wanted

    wait_until(is_level, "the old master follows the new one")
    stats: dict[str, Any] = old.get("/replication/replica/stats")
    return stats


def verified(*nodes: NodeProcess) -> None:
    """`nexus verify` finds the nodes equal, and every file is whole."""
    ended = subprocess.run(
        [sys.executable, "-m", "nexus", "verify", *(node.url for node in nodes)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for node in nodes:
        assert node.rows("pragma integrity_check") == [("ok",)]


def kept_rows(node: NodeProcess) -> list[str]:
    """What `GET /replication/diverged` lists, each as it is served."""
    listed = node.get("/replication/diverged")["diverged"]
    return [
        CLIENT.get(f"{node.url}/replication/diverged/{one['id']}").text
        for one in listed
    ]


def test_a_killed_master_comes_back_without_a_copy_and_its_entries_are_kept(
    cluster: Cluster,
) -> None:
    old, new = parted(cluster)
    old.kill()
    promoted(new)
    old.start()

    stats = came_back(old, new)

    assert (stats["rewinds"], stats["full_syncs"]) == (1, 0)
    assert stats["bytes_received"] < new.database.stat().st_size / 50
    words = [("kept",), ("new reign",)]
    assert old.rows("select word from t order by id") == words
    verified(new, old)
    (kept,) = kept_rows(old)
    assert kept.count("only here") == ONLY_HERE
    assert '"changed"' in kept
    metrics = CLIENT.get(old.url + "/metrics").text
    assert "nexus_rewinds 1" in metrics or "nexus_rewinds_total 1" in metrics


def test_a_master_that_was_only_cut_off_goes_back_while_it_runs(
    cluster: Cluster,
) -> None:
    old, new = parted(cluster, megabytes=1)
    assert old.process is not None
    assert old.process.pid is not None
    os.kill(old.process.pid, signal.SIGSTOP)
    promoted(new)
    os.kill(old.process.pid, signal.SIGCONT)

    stats = came_back(old, new)

    assert (stats["rewinds"], stats["full_syncs"]) == (1, 0)
    verified(new, old)
    assert kept_rows(old)[0].count("only here") == ONLY_HERE


def test_a_master_that_is_killed_again_and_again_while_it_comes_back_loses_nothing(
    cluster: Cluster,
) -> None:
    chance = random.Random(SEED)
    old, new = parted(cluster, megabytes=1)
    old.kill()
    promoted(new)
    for number in range(ROUNDS):
        old.start(wait=False)
        time.sleep(chance.uniform(0.2, 1.6))
        old.kill()
        new.sql("insert into t(word) values (?)", f"meanwhile {number}")
    old.start()

    came_back(old, new)

    assert_equal(new, [old])
    verified(new, old)
    listed = old.get("/replication/diverged")["diverged"]
    assert len({one["last"] for one in listed}) == len(listed)
    kept = "".join(kept_rows(old))
    for number in range(ONLY_HERE):
        assert f'"only here {number}"' in kept
