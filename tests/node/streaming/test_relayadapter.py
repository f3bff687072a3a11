"""A replica follows a replica, between nodes in this process."""

import pytest
from msgspec.structs import replace

from e2e.cluster import free_port
from nexus.errors import ReadOnlyReplicaError, WrongRoleError
from nexus.node.elections.voting import Voting
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import introduce
from nexus.node.node import Node
from nexus.node.roles import machines
from nexus.protocol.messages import Error, ErrorCode
from nexus.replication.handshake.cascade import CASCADE
from nexus.replication.handshake.introduction import hello_of
from node.builders import Crowd, address_of, caught_up, count, run, until
from node.electing import master_among, voters
from node.roles.test_following import duty_of

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
    master, first, second, third = await chain(crowd, 3)
    await run(master, CREATE)
    last = await run(master, INSERT)

    await caught_up(third, last)

    assert await count(third) == 1
    status = third.status()
    assert (status.master_id, status.upstream_id) == (master.node_id, second.node_id)
    assert status.master_url == second._parts.http_url
    assert [one.id for one in master.replicas()] == [first.node_id]
    assert [one.id for one in first.replicas()] == [second.node_id]
    assert first.status().replica_count == 1
    with pytest.raises(WrongRoleError):
        third.replicas()


async def test_a_new_downstream_is_filled_by_a_snapshot_of_the_replica(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master", replication__max_log_size=4)
    await run(master, CREATE)
    for _ in range(20):
        await run(master, INSERT)
    await master.make_snapshot()
    await duty_of_master(master)
    first = await crowd.replica("first", master, replication__max_log_size=4)
    last = await run(master, INSERT)
    await caught_up(first, last)
    await duty_of(first).retain()

    second = await crowd.replica("second", first, replication__cascade=True)
    await caught_up(second, last)

    assert second.replica_stats().full_syncs == 1
    assert await count(second) == await count(master)


async def duty_of_master(master: Node) -> None:
    """Have it drop what its log keeps no longer."""
    duty = master._duties.duty
    assert duty is not None
    await master._duties.reigning().retain()
    assert master._parts.log.first_offset > 1


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


async def test_a_downstream_goes_back_to_its_upstream_once_that_is_well(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LEAST_HOME_MS", 200)
    monkeypatch.setattr(machines, "FIRST_TRIES", 1)
    address = f"127.0.0.1:{free_port()}"
    master = await crowd.node("master")
    first = await crowd.replica("first", master, replication__bind_addr=address)
    second = await crowd.replica("second", first, replication__cascade=True)
    await caught_up(second, await run(master, CREATE))
    await first.stop()
    await until(lambda: second.status().upstream_id == master.node_id)

    again = Node(first.config)
    await again.start()
    try:
        await until(lambda: second.status().upstream_id == again.node_id)
        await caught_up(second, await run(master, INSERT))
        assert second.replica_stats().full_syncs == 0
        assert second.events.counts["returns"] == 1
    finally:
        await again.stop()


async def test_a_downstream_in_a_cluster_that_elects_goes_back_too(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LEAST_HOME_MS", 200)
    monkeypatch.setattr(machines, "FIRST_TRIES", 1)
    address = f"127.0.0.1:{free_port()}"
    (master,) = await voters(crowd, size=1)
    await master_among([master])
    first = await crowd.replica("first", master, replication__bind_addr=address)
    second = await crowd.replica("second", first, replication__cascade=True)
    await caught_up(second, await run(master, CREATE))
    await until(lambda: isinstance(second.duties.duty, Voting))
    await until(lambda: second.status().upstream_id == first.node_id)
    await first.stop()
    await until(lambda: second.status().upstream_id == master.node_id)

    again = Node(first.config)
    await again.start()
    try:
        await until(lambda: second.status().upstream_id == again.node_id)
        await caught_up(second, await run(master, INSERT))
    finally:
        await again.stop()


@pytest.mark.parametrize("length", [2, 3])
async def test_replicas_that_follow_each_other_are_told_of_the_loop(
    crowd: Crowd, length: int
) -> None:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(length)]
    nodes = [
        await crowd.node(
            f"n{number}",
            "replica",
            replication__bind_addr=address,
            replication__master_addr=addresses[(number + 1) % length],
            replication__cascade=True,
        )
        for number, address in enumerate(addresses)
    ]

    await until(lambda: any("a loop" in one.status().last_error for one in nodes))

    assert not any(one.status().connected for one in nodes)


async def test_a_replica_that_would_follow_its_own_downstream_is_refused(
    crowd: Crowd,
) -> None:
    master, first, second = await chain(crowd)
    await caught_up(second, await run(master, CREATE))
    parts = first._parts
    hello = hello_of(
        replace(parts.identity(), features=(CASCADE,)),
        first.history(),
        parts.log.durable_offset,
        epoch=parts.state.epoch,
    )

    connection = await Connection.open(address_of(second), timeout_s=60)
    answer = await introduce(connection, hello, "", timeout_s=60)
    await connection.close()

    assert isinstance(answer, Error)
    assert answer.code == ErrorCode.LOOP
    assert f"which would follow {first.node_id}: a loop" in answer.message


async def test_what_is_not_committed_is_not_passed_on(crowd: Crowd) -> None:
    master = await crowd.node(
        "master", replication__mode="sync", replication__sync_quorum=3
    )
    first = await crowd.replica("first", master)
    second = await crowd.replica("second", first, replication__cascade=True)
    await until(lambda: first.status().durable_offset == 1)

    assert master.status().commit_offset == 0
    assert second.status().durable_offset == 0
    (seen,) = first.replicas()
    assert (seen.id, seen.last_ack_offset) == (second.node_id, 0)


async def test_a_write_at_the_end_of_the_chain_is_referred_up_the_chain(
    crowd: Crowd,
) -> None:
    master, first, second = await chain(crowd)
    await caught_up(second, await run(master, CREATE))

    with pytest.raises(ReadOnlyReplicaError) as told:
        await run(second, INSERT)

    assert told.value.master_url == first._parts.http_url
