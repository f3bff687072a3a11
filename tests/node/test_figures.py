"""What a node holds, as a scrape looks it up."""

import shutil

from node.builders import Crowd, caught_up, run, until


async def test_a_node_tells_of_its_files_and_connections(crowd: Crowd) -> None:
    master = await crowd.node("m")
    await run(master, "create table t (a)")

    figures = master.figures()

    assert figures.log_entries == master.status().wal_offset
    assert figures.log_bytes > 0
    assert figures.database_bytes > 0
    assert figures.database_wal_bytes > 0
    disk = shutil.disk_usage(master.config.data_dir)
    assert figures.disk_bytes == disk.total
    assert 0 < figures.disk_free_bytes <= disk.total
    assert figures.connections == {"node": 0, "client": 0}
    assert (figures.snapshot_received_bytes, figures.snapshot_expected_bytes) == (0, 0)
    assert not figures.lacks_quorum


async def test_a_replica_is_a_connection_and_times_what_it_applies(
    crowd: Crowd,
) -> None:
    master = await crowd.node("m")
    replica = await crowd.replica("r", master)
    await caught_up(replica, await run(master, "create table t (a)"))

    assert master.figures().connections["node"] == 1
    assert replica.measures.apply.cumulative()[0][-1][1] >= 1
    assert replica.measures.applied_batch.cumulative()[1] >= 1
    assert replica.measures.log_sync.cumulative()[0][-1][1] >= 1


async def test_a_replica_without_a_database_holds_none(crowd: Crowd) -> None:
    alone = await crowd.node("r", "replica", replication__master_addr="127.0.0.1:1")

    assert alone.figures().database_bytes == 0


async def test_a_sync_master_alone_lacks_its_quorum(crowd: Crowd) -> None:
    master = await crowd.node("m", replication__mode="sync")

    await until(lambda: master.figures().lacks_quorum)

    assert master.events.counts["quorum_lost"] == 1
