"""A node in the role of replica: its master, its log, its thread that applies."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nexus.errors import (
    DiskFullError,
    NoMasterError,
    ReadOnlyReplicaError,
)
from nexus.model.cluster import LinkState, NodeId, Role
from nexus.node.follower import Follower
from nexus.node.node import Node
from nexus.node.roles.following import Following
from nexus.replication.replica import Replica
from nexus.replication.settings import Identity, RecoveredState, ReplicaSettings
from nexus.storage.database import Database
from node.builders import (
    Crowd,
    address_of,
    caught_up,
    count,
    run,
    settings,
    until,
)

CREATE = "create table t(id integer primary key, v)"
INSERT = "insert into t(v) values (1)"
NOWHERE = "127.0.0.1:1"


def duty_of(node: Node) -> Following:
    duty = node._duties.duty
    assert isinstance(duty, Following)
    return duty


async def test_what_a_master_says_of_the_cluster_is_kept_in_the_catalog(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    state = replica._parts.state

    assert state.cluster_id == master.status().cluster_id
    assert state.epoch == master.status().epoch
    assert (state.role, state.master_addr) == (Role.REPLICA, address_of(master))


async def test_a_replica_says_what_it_lacks_and_what_it_has_received(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    last = await run(master, CREATE)
    await caught_up(replica, last)

    report, stats = duty_of(replica).report(), duty_of(replica).stats()

    assert (report.connected, report.lag, report.paused) == (True, 0, False)
    assert (report.master_id, report.state) == (master.node_id, LinkState.STREAMING)
    assert report.commit_offset == last.offset
    assert stats.entries_received >= 1
    assert stats.bytes_received > 0
    assert duty_of(replica).history == master.history()


async def test_a_pause_that_comes_as_a_reign_ends_is_the_new_machines() -> None:
    identity = Identity(node_id=NodeId("n"), cluster_id="", address="n:1")
    looks = ReplicaSettings(addresses=("a:1",))
    one, other = (
        Replica(identity, looks, RecoveredState(), lambda: 0.0) for _ in range(2)
    )

    async def rest() -> None:
        following.machine.pause()

    worker = SimpleNamespace(start=lambda: None)
    following = SimpleNamespace(
        machine=one,
        rest=rest,
        _new_worker=lambda: worker,
        follower=SimpleNamespace(employ=lambda _: None),
    )

    await Following.wake(cast("Any", following), other)

    assert (one.paused, other.paused) == (False, True)


async def test_a_write_is_refused_with_the_masters_address_if_it_is_known(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    with pytest.raises(ReadOnlyReplicaError) as known:
        await run(replica, CREATE)
    lonely = await crowd.node("lonely", "replica", replication__master_addr=NOWHERE)
    with pytest.raises(NoMasterError, match="knows no master just now"):
        await run(lonely, CREATE)

    assert known.value.master_url == master.status().master_url


async def test_a_write_is_refused_with_a_silent_masters_other_address(
    tmp_path: Path, crowd: Crowd
) -> None:
    master = Node(settings(tmp_path / "embedded"))
    master.http_addr = ""
    await master.start()
    replica = await crowd.replica("replica", master)

    with pytest.raises(ReadOnlyReplicaError, match=f"nexus://{address_of(master)}"):
        await run(replica, CREATE)
    assert replica.status().master_url == ""
    await master.stop()


async def test_a_paused_replica_receives_and_applies_nothing(crowd: Crowd) -> None:
    master, replica = await crowd.followed(CREATE)

    duty_of(replica).pause()
    last = await run(master, INSERT)
    await until(lambda: replica._parts.log.durable_offset == last.offset)
    assert duty_of(replica).report().paused
    assert await count(replica) == 0

    duty_of(replica).resume()
    await caught_up(replica, last)
    assert await count(replica) == 1


async def test_who_leaves_keeps_what_was_received_and_ends_its_thread(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    last = await run(master, CREATE)
    await caught_up(replica, last)

    await duty_of(replica).leave()

    assert replica._parts.log.durable_offset == last.offset
    await run(master, INSERT)
    await asyncio.sleep(0.05)
    assert replica._parts.log.durable_offset == last.offset


async def test_a_log_that_cannot_be_shortened_now_is_shortened_later(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, replica = await crowd.followed(CREATE)

    def full(_: Database) -> bool:
        raise DiskFullError("no room for the checkpoint")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "checkpoint", full)
        await duty_of(replica).retain()

    assert replica.status().running
    await duty_of(replica).retain()
    assert replica.database.checkpointed_offset == replica.database.position.offset


async def test_what_is_not_known_to_be_committed_stays_in_the_log(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, replica = await crowd.followed(CREATE)
    kept: list[int] = []

    async def retain(_: Follower, keep_from: int) -> int:
        kept.append(keep_from)
        return 0

    monkeypatch.setattr(Follower, "retain", retain)
    await duty_of(replica).retain()
    await master.stop()
    await until(lambda: not duty_of(replica).machine.is_connected)
    duty_of(replica).machine._log.unmatched()

    await duty_of(replica).retain()

    assert kept == [replica.database.position.offset + 1, 1]
