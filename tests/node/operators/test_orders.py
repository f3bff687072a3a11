"""What is ordered of a node goes for its databases, and is answered with its status."""

from nexus.model.cluster import LinkState, Role
from node.builders import Crowd, until


async def test_a_named_database_is_paused_alone(crowd: Crowd) -> None:
    master = await crowd.node("master", databases="orders")
    replica = await crowd.replica("replica", master, databases="orders")
    orders = replica.named["orders"]
    await until(lambda: orders.status().state is LinkState.STREAMING)

    orders.pause(None)

    assert orders.status().paused
    assert not replica.status().paused


async def test_an_order_answers_with_the_status_that_it_leaves(crowd: Crowd) -> None:
    node = await crowd.node("node")

    left = await node.stop_replication()

    assert left.role is Role.STANDALONE
    assert left.node_id == node.node_id
