"""A node that lost what it had acknowledged takes a full sync, and no part before."""

import asyncio

from nexus.model.cluster import LinkState, Role
from nexus.node.node import Node
from node.builders import DEAD_TIME_S, Crowd, address_of, caught_up, count, run, until
from node.electing import CREATE, master_among, voters, written


def wipe(node: Node) -> None:
    """Its disk is another one, but for the catalog."""
    root = node.config.data_dir
    for file in (*root.glob("nexus.db*"), *(root / "wal").glob("*")):
        file.unlink()


async def test_hard_case_3_a_wiped_voter_makes_no_master_without_what_was_acknowledged(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await written(nodes, CREATE)
    behind, wiped = (node for node in nodes if node is not master)
    await until(lambda: behind.status().durable_offset == wiped.status().durable_offset)
    await behind.stop()
    await run(master, "insert into t values (1)")
    await until(lambda: wiped._parts.state.log_watermark)
    await master.stop()
    await wiped.stop()
    wipe(wiped)

    again = [Node(behind.config), Node(wiped.config)]
    for node in again:
        await node.start()
    try:
        assert "wal" in again[1].status().last_error
        await asyncio.sleep(3 * DEAD_TIME_S)  # some elections
        assert [node.status().role for node in again] == [Role.REPLICA] * 2

        again.append(Node(master.config))
        await again[2].start()
        reigning = await master_among(again)
        await written([reigning], "insert into t values (2)")
        await until(lambda: not again[1]._parts.state.incomplete)
        assert again[1].replica_stats().full_syncs == 1
        await until(lambda: again[1].status().state is LinkState.STREAMING)
        await caught_up(again[1], await run(reigning, "insert into t values (3)"))
        assert await count(again[1]) == 3
    finally:
        for node in again:
            await node.stop()


async def test_a_database_that_its_log_does_not_fit_is_kept_and_replaced(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    await caught_up(replica, await run(master, CREATE, "insert into t values (1)"))
    assert replica.status().master_id == master.node_id
    await replica.stop()
    for segment in (replica.config.data_dir / "wal").glob("*"):
        segment.unlink()

    again = await crowd.node(
        "replica", "replica", replication__master_addr=address_of(master)
    )

    await until(lambda: not again._parts.state.incomplete)
    await caught_up(again, await run(master, "insert into t values (2)"))
    assert await count(again) == 2
    assert again.replica_stats().full_syncs == 1
    (kept,) = again.diverged.list()
    assert kept.copy
    assert "wal" in kept.reason
