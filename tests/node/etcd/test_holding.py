"""Nodes under etcd take the leader key, give it up, and follow whoever has it."""

import asyncio
from functools import partial

import pytest

from nexus.errors import (
    ConfigurationError,
    DiskFullError,
    NoMasterError,
    StorageError,
    WrongRoleError,
)
from nexus.model.cluster import LinkState, NodeId, Role
from nexus.model.position import EpochHistory
from nexus.node.etcd import reign as keyed_reign
from nexus.node.etcd.holding import Keyholding
from nexus.node.etcd.reign import prepared
from nexus.node.node import Node
from nexus.node.parts import Parts
from nexus.node.startup import Storage, redo
from nexus.replication.effects import StepDown
from nexus.replication.etcd.effects import Reign
from nexus.replication.etcd.keys import SyncedKey
from nexus.replication.etcd.stages import Stage
from node.builders import caught_up, count, run, until
from node.keepers import Keepers, etcd, holding, keepers, listed, opened, streams

__all__ = ["etcd", "keepers"]


async def test_who_stops_in_order_hands_the_key_over_at_once(keepers: Keepers) -> None:
    first, second = await keepers.pair()
    third = await keepers.node("c")
    await caught_up(second, await run(first, "create table t(n)"))
    await until(lambda: third.node_id in listed(first))

    await first.stop()
    await until(lambda: opened(second) or opened(third))

    master = second if opened(second) else third
    assert master.status().epoch > 0
    await run(master, "insert into t values (1)")
    assert await count(master) == 1


async def test_a_replica_names_its_master_and_refuses_orders(keepers: Keepers) -> None:
    first, second = await keepers.pair()

    assert streams(second)
    assert holding(second).history.reigns
    for order in (second.promote(force=True), second.stop_replication()):
        with pytest.raises(WrongRoleError, match="etcd decides"):
            await order
    with pytest.raises(WrongRoleError, match=f"{first.node_id} at .* leader key"):
        await second.promote(force=False)


async def test_a_node_that_does_not_stand_by_itself_can_be_promoted(
    keepers: Keepers,
) -> None:
    node = await keepers.node(
        "a",
        "master",
        replication__auto_failover=False,
        replication__sync_quorum=1,
    )
    reads = holding(node).leadership._key_reads
    await until(lambda: reads._asked_ms is not None and not reads._is_asked)
    assert node.status().role is Role.REPLICA

    status = await node.promote(force=False)

    assert status.role is Role.MASTER
    await run(node, "create table t(n)")


async def test_who_meets_a_higher_epoch_gives_the_key_up(keepers: Keepers) -> None:
    first, second = await keepers.pair()
    epoch = first.status().epoch

    first._duties.step_down(StepDown(epoch + 1, "", "a higher epoch"))  # type: ignore[arg-type]  # an Epoch
    assert not holding(first).leadership.may_acknowledge(0)
    await until(
        lambda: any(
            opened(node) and node.status().epoch > epoch for node in (first, second)
        )
    )

    assert opened(first) is not opened(second)


async def test_between_two_duties_a_write_is_refused_and_nothing_happened(
    keepers: Keepers,
) -> None:
    node = await keepers.node("a")
    duty = holding(node)
    await duty._vacate()

    assert duty.report().state is LinkState.ELECTING
    assert duty.history == EpochHistory()
    await duty.retain()
    with pytest.raises(NoMasterError, match="nothing happened"):
        node.writer()
    assert duty.leadership.stage is Stage.FOLLOWS


async def test_a_cluster_with_voters_does_not_ask_etcd(keepers: Keepers) -> None:
    node = await keepers.node("a")

    with pytest.raises(ConfigurationError, match="has voters"):
        await Keyholding.begin(node._parts, voters=True)


async def test_before_its_data_are_replaced_a_node_leaves_the_list(
    keepers: Keepers,
) -> None:
    first, second = await keepers.pair()

    for call in second._parts.before_replacing:
        await call()
    keys = await holding(second)._client.read()
    assert keys.synced is not None

    await until(lambda: second.node_id in listed(first))
    assert keys.synced.nodes == (first.node_id,)


class Pause:
    """The disk takes its time while a reign begins."""

    def __init__(self) -> None:
        self.reached, self.over = asyncio.Event(), asyncio.Event()

    async def prepared(self, parts: Parts, order: Reign) -> EpochHistory:
        history = await prepared(parts, order)
        self.reached.set()
        await self.over.wait()
        return history


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Pause:
    made = Pause()
    monkeypatch.setattr("nexus.node.etcd.holding.prepared", made.prepared)
    return made


async def test_a_list_that_changes_while_a_reign_begins_counts_from_its_first_entry(
    keepers: Keepers, pause: Pause
) -> None:
    node = await keepers.node("a", "master", replication__sync_quorum=1)
    await pause.reached.wait()
    leadership = holding(node).leadership
    assert leadership.synced is not None
    before = leadership.synced.listed
    joined = SyncedKey(
        nodes=(*before.nodes, NodeId("late")), revision=before.revision + 1
    )
    leadership.synced.seen(joined)
    pause.over.set()
    await until(lambda: holding(node)._reign)

    reign = holding(node)._reign
    assert reign is not None
    assert reign.machine._streams.tally.required == {node.node_id, "late"}
    assert reign.machine.commit_offset == 0


async def test_a_lease_that_ends_while_a_reign_begins_ends_the_reign_too(
    keepers: Keepers, pause: Pause
) -> None:
    node = await keepers.node("a", "master", replication__sync_quorum=1)
    await pause.reached.wait()
    duty = holding(node)

    duty._take(duty.leadership.deposed("a test says so"))
    pause.over.set()
    await until(lambda: duty.leadership.stage is Stage.FOLLOWS)
    with pytest.raises(NoMasterError):
        await run(node, "create table t(n)")

    await until(lambda: opened(node))  # the key is free again: it takes that anew
    await run(node, "create table t(n)")
    assert len(node.history().reigns) >= 2


async def test_in_maintenance_nobody_takes_the_key_until_an_operator_promotes(
    keepers: Keepers,
) -> None:
    first, second = await keepers.pair()
    await caught_up(second, await run(first, "create table t(n)"))

    await until(lambda: listed(second) == {first.node_id, second.node_id})

    told = await second.set_auto_failover(enabled=False)

    assert not told.auto_failover
    assert {one.id for one in told.members} == {first.node_id, second.node_id}
    for node in (first, second):
        await until(partial(rests, node))
    await first.stop()
    await until(lambda: holding(second).leadership.keys.leader is None)
    await asyncio.sleep(1)  # some reads of a free key
    assert second.status().role is Role.REPLICA

    await second.set_auto_failover(enabled=True)

    await until(lambda: second.status().role is Role.MASTER)


def rests(node: Node) -> bool:
    return not node.status().auto_failover


async def test_a_master_that_has_failed_frees_the_key_for_another_node(
    keepers: Keepers,
) -> None:
    first, second = await keepers.pair()
    third = await keepers.node("c")
    await until(lambda: third.node_id in listed(first))

    first._parts.failed(StorageError("the disk does not answer"))
    await until(lambda: opened(second) or opened(third))

    await run(second if opened(second) else third, "create table t(n)")
    assert "the disk does not answer" in first.status().last_error
    assert holding(first)._is_whole is False
    holding(first).tick()
    assert first.status().role is Role.REPLICA


async def test_who_lacks_the_space_to_begin_a_reign_gives_the_key_back(
    keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await keepers.pair()
    third = await keepers.node("c")
    await until(lambda: third.node_id in listed(first))
    tried = 0

    def full_once(storage: Storage) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise DiskFullError("the disk is full")
        redo(storage)

    monkeypatch.setattr(keyed_reign, "redo", full_once)
    await first.stop()

    await until(lambda: tried > 1 and (opened(second) or opened(third)))
    await run(second if opened(second) else third, "create table t(n)")
    assert [second._duties.failure, third._duties.failure] == ["", ""]
