"""Nodes that elect among themselves: real drivers, sockets and disks, one process."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest

from nexus.errors import DiskFullError, NexusError, StorageError, WrongRoleError
from nexus.model.cluster import LinkState, Role
from nexus.model.position import Offset
from nexus.node.elections.voting import Voting
from nexus.node.node import Node
from nexus.storage.wal import WriteAheadLog
from node.builders import PATIENCE_S, Crowd, address_of, caught_up, count, run, until
from node.electing import CREATE, master_among, voters, written


async def test_empty_peers_elect_a_master_and_its_rows_reach_all(crowd: Crowd) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    response = await run(master, CREATE)
    assert response.durable_on >= 2
    for node in nodes:
        await caught_up(node, response)
        assert node.status().role is (Role.MASTER if node is master else Role.REPLICA)
        assert len(node.history().reigns) >= 1
    assert len({node.status().cluster_id for node in nodes}) == 1
    assert set(dict(master._duties.voting().voters)) == {n.node_id for n in nodes}


async def test_the_first_master_is_there_before_a_dead_time_is_over(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd, heartbeat_ms=60_000)

    master = await master_among(nodes)

    assert (await run(master, CREATE)).durable_on >= 2


async def test_when_the_master_stops_another_takes_over_and_it_comes_back(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE, "insert into t values (1)")
    await master.stop()
    others = [node for node in nodes if node is not master]
    heir = await written(others, "insert into t values (2)")
    assert heir.status().epoch > 1
    back = Node(master.config)
    await back.start()
    try:
        await until(lambda: back.status().state is LinkState.STREAMING)
        last = await run(heir, "insert into t values (3)")
        await caught_up(back, last)
        assert await count(back) == 3
    finally:
        await back.stop()


async def test_with_one_full_disk_the_loss_of_the_master_costs_an_election(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = await voters(crowd, mode="async")
    master = await written(nodes, CREATE)
    full, heir = (node for node in nodes if node is not master)
    for node in (full, heir):
        await caught_up(node, await run(master, "insert into t values (1)"))
    append, log = WriteAheadLog.append, full._parts.log

    def no_room(self: WriteAheadLog, *args: Any, **options: Any) -> None:
        if self is log:
            raise DiskFullError("no room")
        append(self, *args, **options)

    with monkeypatch.context() as while_full:
        while_full.setattr(WriteAheadLog, "append", no_room)
        await caught_up(heir, await run(master, "insert into t values (2)"))
        await until(lambda: any(one.no_space for one in master.replicas()))
        await master.stop()
        await written([heir], "insert into t values (3)")
    last = await written([heir], "insert into t values (4)")

    assert last is heir
    await caught_up(full, await run(heir, "insert into t values (5)"))
    assert await count(full) == await count(heir)


async def test_a_master_whose_disk_hangs_is_replaced_and_follows_once_it_goes_on(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = await voters(crowd)
    master = await written(nodes, CREATE)
    others = [node for node in nodes if node is not master]
    for node in others:
        await caught_up(node, await run(master, "insert into t values (1)"))
    monkeypatch.setattr("nexus.replication.members.elected.LEAST_HANG_MS", 0)
    monkeypatch.setattr("nexus.replication.members.elected.HANG_DEAD_TIMES", 1)
    goes_on, log, sync = threading.Event(), master._parts.log, WriteAheadLog.sync

    def hangs(self: WriteAheadLog) -> Offset:
        if self is log:
            goes_on.wait()
        return sync(self)

    monkeypatch.setattr(WriteAheadLog, "sync", hangs)
    waiting = asyncio.create_task(run(master, "insert into t values (2)"))
    try:
        await written(others, "insert into t values (3)")
    finally:
        goes_on.set()
    with suppress(NexusError):  # nobody could say what becomes of it
        await waiting

    await until(lambda: master.status().state is LinkState.STREAMING)
    await written(nodes, "insert into t values (4)")
    end = max(node.status().durable_offset for node in nodes)
    await master.wait_applied(Offset(end), timeout_s=PATIENCE_S)
    assert await count(master) == 5


async def test_a_master_alone_refuses_at_once_and_goes_on_with_a_majority(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    others = [node for node in nodes if node is not master]
    for node in others:
        await node.stop()
    await until(lambda: master.status().role is Role.REPLICA)
    with pytest.raises(NexusError, match="nothing happened"):
        await run(master, "insert into t values (1)")
    back = Node(others[0].config)
    await back.start()
    try:
        await written([master, back], "insert into t values (2)")
    finally:
        await back.stop()


async def test_a_wiped_voter_is_no_voter_and_learns(crowd: Crowd) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    wiped = next(node for node in nodes if node is not master)
    address, peers = wiped.config.replication.bind_addr, wiped.config.replication.peers
    await wiped.stop()
    empty = await crowd.node(
        "empty",
        "replica",
        replication__bind_addr=address,
        replication__peers=",".join(peers),
        replication__mode="sync",
    )
    await until(lambda: empty.status().state is LinkState.STREAMING)
    await caught_up(empty, await run(master, "insert into t values (1)"))
    voting = master._duties.voting()
    assert empty.node_id not in dict(voting.voters)
    await until(lambda: isinstance(empty._duties.duty, Voting))
    await until(lambda: empty._duties.voting().voters == voting.voters)


async def test_voters_that_have_all_moved_elect_again_and_are_logged_where_they_are(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    await written(nodes, CREATE)
    ids = {node.node_id for node in nodes}
    for node in nodes:
        await node.stop()

    moved = await voters(crowd)
    master = await written(moved, "insert into t values (1)")

    assert {node.node_id for node in moved} == ids
    for node in moved:
        await until(lambda: len(master.replicas()) == 2)
        await master.add_voter(node.node_id, address_of(node))
    logged = {one.id: one.addr for one in master.members().members if one.voter}
    assert logged == {node.node_id: address_of(node) for node in moved}
    await caught_up(moved[0], await run(master, "insert into t values (2)"))


async def test_an_operator_promotes_by_election_only_where_a_majority_agrees(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    other = next(node for node in nodes if node is not master)
    await until(lambda: other.status().state is LinkState.STREAMING)
    with pytest.raises(WrongRoleError, match="master is alive"):
        await other.promote(force=False)
    with pytest.raises(WrongRoleError, match="the master already"):
        await master.promote(force=False)
    assert master.status().role is Role.MASTER


async def test_a_force_makes_the_last_node_left_a_master_of_itself(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE, "insert into t values (1)")
    last = next(node for node in nodes if node is not master)
    await caught_up(last, await run(master, "insert into t values (2)"))
    for node in nodes:
        if node is not last:
            await node.stop()
    await last.promote(force=True)
    await written([last], "insert into t values (3)")
    assert await count(last) == 3
    assert last._duties.voting().voters == ((last.node_id, last._parts.address),)


async def test_a_master_whose_disk_fails_is_silent_and_another_takes_over(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    master._parts.failed(StorageError("the disk has failed"))
    others = [node for node in nodes if node is not master]
    await written(others, "insert into t values (1)")
    assert not master.status().running
    with pytest.raises(NexusError):
        await run(master, "insert into t values (2)")
