"""What is ordered of a node goes for its databases, and is answered with its status."""

import pytest

from nexus.errors import WrongRoleError
from nexus.model.cluster import LinkState, Role
from node.builders import Crowd, run, until


async def test_a_replica_that_is_paused_applies_nothing_until_it_goes_on(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    replica.pause(None)
    response = await run(master, "create table t(v)")
    await until(lambda: replica.status().durable_offset == response.offset)
    paused = replica.status()
    replica.resume(replica.node_id)

    assert paused.state is LinkState.PAUSED
    assert paused.applied_offset < response.offset
    await until(lambda: replica.status().applied_offset == response.offset)


async def test_a_named_database_is_paused_alone(crowd: Crowd) -> None:
    master = await crowd.node("master", databases="orders")
    replica = await crowd.replica("replica", master, databases="orders")
    orders = replica.named["orders"]
    await until(lambda: orders.status().state is LinkState.STREAMING)

    orders.pause(None)

    assert orders.status().paused
    assert not replica.status().paused


async def test_anothers_stream_is_the_masters_to_pause(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    with pytest.raises(WrongRoleError, match="another's stream is the master's"):
        replica.pause("somebody-else")


async def test_an_order_answers_with_the_status_that_it_leaves(crowd: Crowd) -> None:
    node = await crowd.node("node")

    left = await node.stop_replication()

    assert left.role is Role.STANDALONE
    assert left.node_id == node.node_id
