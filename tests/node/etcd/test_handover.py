"""A switchover under a real etcd: nothing is lost, and somebody reigns in any case."""

import asyncio

import pytest

from nexus.errors import (
    ClusterChangeError,
    NoMasterError,
    ReadOnlyReplicaError,
    WrongRoleError,
)
from nexus.model.cluster import NodeId
from nexus.node.operators.governing import switch_over
from node.builders import caught_up, count, run, until
from node.keepers import Keepers, etcd, holding, keepers, listed, opened, streams

__all__ = ["etcd", "keepers"]


async def test_a_switchover_loses_nothing_and_the_old_master_follows(
    keepers: Keepers,
) -> None:
    first, second = await keepers.pair()
    third = await keepers.node("c")
    await run(first, "create table t(n)")
    await until(lambda: third.node_id in listed(first))
    written, refused = 0, 0

    async def write() -> None:
        nonlocal written, refused
        while not opened(second):
            try:
                await run(first, "insert into t values (1)")
            except (NoMasterError, ReadOnlyReplicaError):
                refused += 1
                await asyncio.sleep(0.01)
            else:
                written += 1

    writing = asyncio.create_task(write())
    handover = await switch_over(first._duties, NodeId(second.node_id))
    await writing

    assert (handover.former_id, handover.master_id) == (first.node_id, second.node_id)
    assert streams(first)
    last = await run(second, "insert into t values (2)")
    await caught_up(first, last)
    assert await count(first) == written + 1
    assert refused > 0
    await until(lambda: len(listed(second)) == 3)


async def test_a_switchover_is_told_as_one_and_what_comes_after_it_is_not(
    keepers: Keepers,
) -> None:
    first, second = await keepers.pair()
    third = await keepers.node("c")

    await switch_over(first._duties, NodeId(second.node_id))
    await until(lambda: len(listed(second)) == 3)
    told = [event.detail for event in second.events.since(0)]
    await second.stop()
    await until(lambda: opened(first) or opened(third))

    heir = first if opened(first) else third
    whys = [reign.why for reign in heir.history().reigns]
    assert whys.count("switchover") == 1
    assert (whys[0], whys[-1]) == ("start", "failover")
    assert any("the master handed over to it" in detail for detail in told)


async def test_who_cannot_take_the_key_is_not_handed_over_to(keepers: Keepers) -> None:
    first, second = await keepers.pair()

    with pytest.raises(ClusterChangeError, match="in etcd's list"):
        await switch_over(first._duties, NodeId("nobody"))
    with pytest.raises(WrongRoleError, match="begins at the master"):
        await switch_over(second._duties, NodeId(first.node_id))
    await holding(first).set_auto_failover(enabled=False)
    await until(lambda: holding(first).leadership.keys.rests)
    with pytest.raises(ClusterChangeError, match="in maintenance"):
        await switch_over(first._duties, NodeId(second.node_id))

    await run(first, "create table t(n)")
    assert opened(first)


async def test_a_reign_that_has_not_begun_for_clients_is_not_handed_over(
    keepers: Keepers,
) -> None:
    alone = await keepers.node("a", "master")
    await until(lambda: holding(alone).reigning is not None)

    with pytest.raises(ClusterChangeError, match="has not begun yet"):
        await switch_over(alone._duties, NodeId("b"))


async def test_an_heir_that_does_not_take_over_leaves_the_key_to_who_had_it(
    keepers: Keepers,
) -> None:
    first = await keepers.node("a", "master")
    second = await keepers.node("b", replication__auto_failover=False)
    await until(lambda: listed(first) == {first.node_id, second.node_id})
    await until(lambda: opened(first))

    with pytest.raises(ClusterChangeError, match="has not taken over in time"):
        await switch_over(first._duties, NodeId(second.node_id))
    await until(lambda: opened(first))

    await run(first, "create table t(n)")
