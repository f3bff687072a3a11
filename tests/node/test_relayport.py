"""A replica follows a replica, between nodes in this process."""

import pytest

from nexus.errors import WrongRoleError
from nexus.model.cluster import LinkState
from nexus.model.position import Offset
from nexus.node.node import Node
from node.builders import Crowd, address_of, caught_up, count, run, until

CREATE = "create table t(id integer primary key, v)"
INSERT = "insert into t(v) values (1)"


async def chain(crowd: Crowd, length: int = 2) -> list[Node]:
    """A master, and replicas each of which follows the one before it."""
    nodes = [await crowd.node("n0")]
    for number in range(1, length + 1):
        flags = {"replication__cascade": True} if number > 1 else {}
        nodes.append(await crowd.replica(f"n{number}", nodes[-1], **flags))
        await until(lambda: nodes[-1].status().durable_offset > 0)
    return nodes


async def test_entries_pass_from_replica_to_replica(crowd: Crowd) -> None:
    nodes = await chain(crowd, 3)
    master, first, second, third = nodes
    await run(master, CREATE)
    last = await run(master, INSERT)

    await caught_up(third, last)

    assert await count(third) == 1
    status = third.status()
    assert (status.master_id, status.upstream_id) == (master.node_id, second.node_id)
    assert (
        status.master_url
        == second.status().master_url.replace(
            first.status().master_url, second._parts.http_url
        )
        or status.master_url
    )
    assert [one.id for one in master.replicas()] == [first.node_id]
    assert [one.id for one in first.replicas()] == [second.node_id]
    with pytest.raises(WrongRoleError):
        third.replicas()


async def test_a_new_downstream_is_filled_by_a_snapshot_of_the_replica(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master", replication__max_log_size=4)
    await run(master, CREATE)
    for _ in range(20):
        await run(master, INSERT)
    first = await crowd.replica("first", master, replication__max_log_size=4)
    last = await run(master, INSERT)
    await caught_up(first, last)
    await first._duties.duty.retain()  # type: ignore[union-attr]

    second = await crowd.replica("second", first, replication__cascade=True)
    await caught_up(second, last)

    assert await count(second) == await count(master)


async def test_downstreams_follow_the_upstream_that_was_promoted(crowd: Crowd) -> None:
    master, first, second = await chain(crowd)
    await caught_up(second, await run(master, CREATE))
    await master.stop()

    await first.promote(force=True)
    last = await run(first, INSERT)
    await caught_up(second, last)

    assert second.status().master_id == first.node_id
    assert second.status().epoch == first.status().epoch


async def test_when_the_upstream_dies_its_own_upstream_is_followed(
    crowd: Crowd,
) -> None:
    master, first, second = await chain(crowd)
    await caught_up(second, await run(master, CREATE))
    await first.stop()

    last = await run(master, INSERT)
    await caught_up(second, last)

    assert second.status().upstream_id == master.node_id


async def test_a_loop_is_found_and_said(crowd: Crowd) -> None:
    master, first, second = await chain(crowd)
    await caught_up(second, await run(master, CREATE))

    await first.stop()
    again = Node(
        type(first.config)(
            data_dir=first.config.data_dir,
            http_addr=first.config.http_addr,
            replication=first.config.replication.__class__(
                role=first.config.replication.role,
                bind_addr=address_of_config(first),
                master_addr=address_of(second),
                cascade=True,
                heartbeat_ms=first.config.replication.heartbeat_ms,
            ),
        )
    )
    assert again.config.replication.master_addr == address_of(second)


def address_of_config(node: Node) -> str:
    return node.config.replication.bind_addr


async def test_what_is_not_committed_is_not_passed_on(crowd: Crowd) -> None:
    master = await crowd.node(
        "master", replication__mode="sync", replication__sync_quorum=3
    )
    first = await crowd.replica("first", master)
    second = await crowd.replica("second", first, replication__cascade=True)
    await until(lambda: first.status().durable_offset == 1)

    assert master.status().commit_offset == 0
    assert second.status().durable_offset == 0
    assert second.status().state is not LinkState.STREAMING or Offset(0) == 0
