"""An operator hands over, adds and removes voters, and stops elections for a while."""

import asyncio
from functools import partial

import pytest

from e2e.cluster import free_port
from nexus.errors import (
    ClusterChangeError,
    DiskFullError,
    WrongRoleError,
)
from nexus.model.cluster import LinkState, Mode, Role
from nexus.node.elections.voting import Voting
from nexus.node.node import Node
from nexus.node.operators.governing import set_mode
from nexus.storage.wal import WriteAheadLog
from node.builders import DEAD_TIME_S, Crowd, address_of, caught_up, count, run, until
from node.electing import CREATE, handed_over, master_among, voters, written


async def test_a_switchover_loses_nothing_and_the_old_master_follows(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE, "insert into t values (1)")
    heir = next(node for node in nodes if node is not master)
    await until(lambda: len(master.replicas()) == 2)
    told = await handed_over(master, heir)
    assert (told.former_id, told.master_id) == (master.node_id, heir.node_id)
    assert master.status().role is Role.REPLICA
    assert heir.history().reigns[-1].why == "switchover"
    response = await run(heir, "insert into t values (2)")
    for node in nodes:
        await caught_up(node, response)
        assert await count(node) == 2


async def test_who_cannot_reign_is_not_handed_over_to(crowd: Crowd) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    with pytest.raises(ClusterChangeError, match="is no other voter"):
        await master.switch_over("nobody")
    replica = next(node for node in nodes if node is not master)
    with pytest.raises(WrongRoleError, match="begins at the master"):
        await replica.switch_over(master.node_id)
    await run(master, CREATE)


async def test_a_learner_is_made_a_voter_and_a_voter_is_removed(crowd: Crowd) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    learner = await crowd.node(
        "learner",
        "replica",
        replication__bind_addr=f"127.0.0.1:{free_port()}",
        replication__master_addr=address_of(master),
        replication__mode="sync",
    )
    await until(lambda: isinstance(learner._duties.duty, Voting))
    await until(lambda: learner.status().state is LinkState.STREAMING)
    await until(lambda: len(master.replicas()) == 3)
    with pytest.raises(ClusterChangeError, match="does not follow this master"):
        await master.add_voter("stranger", "")
    added = await master.add_voter(learner.node_id, "")
    assert sum(member.voter for member in added.members) == 4
    with pytest.raises(ClusterChangeError, match="a voter already"):
        await master.add_voter(learner.node_id, "")
    await until(lambda: learner.node_id in dict(learner._duties.voting().voters))

    gone = next(node for node in nodes if node is not master)
    gone_id = gone.node_id
    await gone.stop()
    left = await master.remove_voter(gone_id)
    assert gone_id not in {member.id for member in left.members if member.voter}
    with pytest.raises(ClusterChangeError, match="is no voter"):
        await master.remove_voter(gone_id)
    with pytest.raises(ClusterChangeError, match="switch over to another"):
        await master.remove_voter(master.node_id)
    await run(master, CREATE)
    with pytest.raises(WrongRoleError, match="is a voter of its cluster"):
        await learner.start_replication(Role.MASTER, None)


async def test_a_change_that_finds_no_room_in_the_log_is_none(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    other = next(node for node in nodes if node is not master)
    before = master.members()

    def full(*_: object, **__: object) -> None:
        raise DiskFullError("no space left")

    with monkeypatch.context() as while_full:
        while_full.setattr(WriteAheadLog, "append", full)
        with pytest.raises(DiskFullError):
            await master.remove_voter(other.node_id)
        with pytest.raises(DiskFullError):
            await set_mode(master._duties, Mode.ASYNC, None)
        assert master.members().members == before.members
        assert master.status().mode is Mode.SYNC
        assert len(master._duties.voting().voters) == 3

    left = await master.remove_voter(other.node_id)
    assert sum(member.voter for member in left.members) == 2


def in_maintenance(node: Node) -> bool:
    """Whether the node knows of it."""
    return not node.status().auto_failover


async def test_in_maintenance_nobody_stands_by_itself(crowd: Crowd) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    others = [node for node in nodes if node is not master]
    changed = await master.set_auto_failover(enabled=False)
    assert not changed.auto_failover
    for node in others:
        await until(partial(in_maintenance, node))
    await master.stop()
    await asyncio.sleep(2 * DEAD_TIME_S)
    assert [node.status().role for node in others] == [Role.REPLICA] * 2
    await others[0].promote(force=False)
    assert await master_among(others) is others[0]
    await others[0].set_auto_failover(enabled=True)
    assert others[0].members().auto_failover


async def test_acknowledged_in_async_mode_is_what_the_master_holds(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd, mode="async")
    master = await written(nodes, CREATE)
    master.pause(None)  # no entry leaves; heartbeats do, and answers

    response = await run(master, "insert into t values (1)")
    ends = [node.status().durable_offset for node in nodes if node is not master]
    master.resume(None)
    for node in nodes:
        await caught_up(node, response)

    assert response.durable_on == 1
    assert max(ends) < response.offset
    assert [await count(node) for node in nodes] == [1, 1, 1]
