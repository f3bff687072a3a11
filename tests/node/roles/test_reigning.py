"""A node in the role of master: one reign, its writer, its replicas."""

import asyncio

import pytest

from nexus.errors import (
    DiskFullError,
    NexusError,
    NoMasterError,
    QuorumLostError,
    WritesStoppedError,
)
from nexus.model.cluster import LinkState, Role
from nexus.model.position import Epoch
from nexus.node.clock import now_ms
from nexus.node.follower import Follower
from nexus.node.network.port import MAIN, Visitor
from nexus.node.node import Node
from nexus.node.roles import reigning
from nexus.node.roles.reigning import Reigning
from nexus.node.roles.taking import Taking
from nexus.node.telemetry import shortage
from nexus.protocol.calls import Attach
from nexus.protocol.messages import Error, ErrorCode, Hello, Welcome
from nexus.replication.effects import StepDown, StopWrites
from nexus.replication.handshake.announcement import require_heard
from node.builders import PATIENCE_S, Crowd, address_of, caught_up, count, run, until
from node.network.test_port import open_port

CREATE = "create table t(v)"
INSERT = "insert into t values (1)"


def reign_of(node: Node) -> Reigning:
    duty = node._duties.duty
    assert isinstance(duty, Reigning)
    return duty


async def refused(node: Node) -> NexusError:
    with pytest.raises(NexusError) as raised:
        await run(node, INSERT)
    return raised.value


async def test_a_reign_is_in_the_catalog_before_anybody_hears_of_it(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    state, (reign,) = node._parts.state, node.history().reigns

    assert (state.role, state.epoch, state.history_id) == (
        Role.MASTER,
        reign.epoch,
        reign.history_id,
    )
    assert state.cluster_id
    assert (reign.master_id, reign.why, reign.first_offset) == (
        node.node_id,
        "start",
        1,
    )


async def test_a_reign_tells_of_its_replicas_and_of_who_was_turned_away(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    assert not reign_of(master).report().connected
    replica = await crowd.replica("replica", master)
    await caught_up(replica, await run(master, CREATE))

    report, stats = reign_of(master).report(), reign_of(master).stats()

    assert (report.connected, report.replica_count) == (True, 1)
    assert (report.state, report.master_id) == (LinkState.STREAMING, master.node_id)
    assert report.commit_offset == stats.current_offset == 2
    assert (stats.log_size, stats.rejected_connections) == (2, 0)
    assert (stats.sync_acks, stats.sync_timeouts) == (0, 0)
    await replica.stop()
    await until(lambda: not reign_of(master).report().connected)


async def test_a_deposed_master_takes_no_writes_and_names_the_new_one(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)

    reign_of(node).deposed_by(StepDown(Epoch(9), "b:1", "met"))
    error = await refused(node)

    assert isinstance(error, NoMasterError)
    assert "deposed by epoch 9; its master is at b:1" in str(error)
    reign_of(node).deposed_by(StepDown(Epoch(9), "", "met"))
    assert "an unknown address" in str(await refused(node))
    assert await count(node) == 0


async def test_writes_that_an_operator_must_allow_again_stay_stopped(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master", replication__mode="sync")
    replica = await crowd.replica("replica", node)
    await until(lambda: not reign_of(node).lacks_quorum)
    await run(node, CREATE)

    reign_of(node).stop_writes(StopWrites("two masters of one epoch"))
    await replica.stop()
    await until(lambda: node.status().replica_count == 0)
    await asyncio.sleep(0.1)  # ticks of the clock that would refuse for the quorum
    error = await refused(node)

    assert isinstance(error, WritesStoppedError)
    assert "two masters of one epoch" in str(error)


async def test_a_switchover_that_fails_brings_no_stopped_writes_back(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    reign = reign_of(node)

    reign.hold_writes()
    held = await refused(node)
    reign.stop_writes(StopWrites("two masters of one epoch"))
    reign.take_writes()
    reign.hold_writes()

    assert isinstance(held, NoMasterError)
    assert isinstance(await refused(node), WritesStoppedError)
    assert await count(node) == 0


async def test_writes_are_refused_while_a_quorum_is_gone_and_taken_when_it_is_back(
    crowd: Crowd,
) -> None:
    node = await crowd.node(
        "master", replication__mode="sync", replication__sync_timeout_ms=5_000
    )
    await until(lambda: reign_of(node).lacks_quorum)
    assert isinstance(await refused(node), QuorumLostError)

    replica = await crowd.replica("replica", node)
    answer = await run(node, CREATE)
    await caught_up(replica, answer)

    assert answer.durable_on == 2
    assert reign_of(node).stats().sync_acks > 0


async def test_a_replica_whose_disk_is_full_is_named_and_needed_writes_are_refused(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DiskFullError("no room")

    monkeypatch.setattr(shortage, "SPACE_RETRY_S", 0.01)
    node = await crowd.node("master", replication__mode="sync")
    replica = await crowd.replica("replica", node)
    await caught_up(replica, await run(node, CREATE))
    with monkeypatch.context() as while_full:
        while_full.setattr(Follower, "_append", full)
        waiting = asyncio.create_task(run(node, INSERT))
        await until(lambda: reign_of(node).lacks_quorum)
        error = await refused(node)

        assert isinstance(error, QuorumLostError)
        assert f"{replica.node_id} has no space on its disk" in str(error)
        assert not waiting.done()
        assert node.replicas()[0].healthy, "its heartbeats are answered"
    assert (await waiting).durable_on == 2

    await caught_up(replica, await run(node, INSERT))
    assert await count(replica) == 2


async def test_a_quorum_that_is_back_is_seen_by_the_next_write_not_the_next_tick(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master", replication__mode="sync")
    await crowd.replica("replica", node)
    await until(lambda: reign_of(node).machine.nodes_in_reach(now_ms()) == 2)
    reign = reign_of(node)
    # As the last tick found it, before the replica came.
    reign._gate.turn(Taking.LACKS_QUORUM, reign._while_quorum_lacks)

    answer = await run(node, CREATE)

    assert answer.durable_on == 2
    assert not reign.lacks_quorum


async def test_a_reign_tells_the_former_master_of_itself_until_it_answers(
    crowd: Crowd,
) -> None:
    old = await crowd.node("old")
    new = await crowd.replica("new", old)
    await caught_up(new, await run(old, CREATE))

    await new.promote(force=True)

    await until(lambda: old.status().role is Role.REPLICA)
    await until(lambda: old.status().master_id == new.node_id)
    assert old._parts.state.master_addr == address_of(new)


async def test_a_former_master_that_is_starting_is_told_once_it_listens(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reigning, "ANNOUNCE_EVERY_S", 0.01)
    node = await crowd.node("master")
    told: list[Hello | Attach] = []
    refused = asyncio.Event()

    def turned_away(answer: Welcome | Error) -> Welcome | Error:
        refused.set()
        return require_heard(answer)

    async def hears(visitor: Visitor) -> None:
        told.append(visitor.hello)
        visitor.connection.send(Error(ErrorCode.NOT_MASTER, "a replica"))

    monkeypatch.setattr(reigning, "require_heard", turned_away)
    async with open_port() as port:
        announcing = asyncio.create_task(reign_of(node).announce(port.address))
        await asyncio.wait_for(refused.wait(), PATIENCE_S)
        assert told == []
        port.open_to(MAIN, hears)
        await asyncio.wait_for(announcing, PATIENCE_S)

    (hello,) = told
    assert isinstance(hello, Hello)
    assert hello.master_addr == address_of(node)


async def test_an_announcement_ends_with_its_reign(crowd: Crowd) -> None:
    node = await crowd.node("master")
    reign = reign_of(node)
    announcing = asyncio.create_task(reign.announce("127.0.0.1:1"))
    await asyncio.sleep(0)

    await node._parts.publisher.retire("another reign begins")

    await asyncio.wait_for(announcing, PATIENCE_S)
    assert announcing.result() is None
