"""A new replica begins from the archive; where it cannot, from its master."""

from pathlib import Path

import pytest

from nexus.config import load
from nexus.errors import ConfigurationError
from node.archives import archived, master_with
from node.builders import Crowd, caught_up, run


async def test_a_new_replica_begins_from_the_archive_and_streams_the_rest(
    crowd: Crowd, tmp_path: Path
) -> None:
    master = await master_with(crowd, tmp_path / "arc")
    for number in range(20):
        await run(master, f"insert into t(v) values ({number})")
    await archived(master)

    replica = await crowd.replica(
        "r", master, archive__url=str(tmp_path / "arc"), archive__seed=True
    )
    last = await run(master, "insert into t(v) values (20)")
    await caught_up(replica, last)

    assert replica.status().cluster_id == master.status().cluster_id
    stats = replica.replica_stats()
    assert (stats.full_syncs, stats.rewinds) == (0, 0)
    assert stats.entries_received < 10
    assert master.master_stats().snapshot_transfers == 0
    rows = await run(replica, "select count(*) from t")
    assert rows.results[0].rows == [(21,)]


async def test_without_anything_in_the_archive_the_master_sends_it(
    crowd: Crowd, tmp_path: Path
) -> None:
    master = await crowd.node("m")
    last = await run(master, "create table t(v)")

    replica = await crowd.replica(
        "r", master, archive__url=str(tmp_path / "arc"), archive__seed=True
    )

    await caught_up(replica, last)


async def test_a_directory_that_holds_anything_is_not_seeded(
    crowd: Crowd, tmp_path: Path
) -> None:
    master = await master_with(crowd, tmp_path / "arc")
    await archived(master)
    flags = {"archive__url": str(tmp_path / "arc"), "archive__seed": True}
    replica = await crowd.replica("r", master, **flags)
    node_id = replica.node_id
    await replica.stop()
    await run(master, "insert into t(v) values (1)")
    await archived(master)

    again = await crowd.replica("r", master, **flags)

    assert again.node_id == node_id


def test_a_seed_needs_an_archive() -> None:
    with pytest.raises(ConfigurationError, match="no archive to begin from"):
        load(None, {}, {"archive.seed": True})
