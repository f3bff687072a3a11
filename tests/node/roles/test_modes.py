"""The log's mode rules, whoever reigns, until an operator has another one logged."""

import asyncio
import dataclasses
import shutil

import msgspec
import pytest
from structlog.testing import capture_logs

from nexus.errors import (
    ClusterChangeError,
    OutcomeUnknownError,
    QuorumLostError,
    WrongRoleError,
)
from nexus.model.cluster import Mode, Role
from nexus.node.node import Node
from nexus.node.parts import Parts
from nexus.node.requests import SqlResponse
from nexus.node.roles.modes import warn_of_quorum
from node.builders import Crowd, address_of, caught_up, count, run, until
from node.electing import CREATE, handed_over, master_among, voters, written

INSERT = "insert into t values (1)"


async def acknowledged(node: Node, sql: str) -> SqlResponse:
    """The answer to a write that is tried until a quorum is there to hold it."""
    while True:
        try:
            return await run(node, sql)
        except (OutcomeUnknownError, QuorumLostError):
            await asyncio.sleep(0.01)


async def refuses_writes(node: Node) -> None:
    """Return once a write is refused because there is no quorum."""

    async def refused() -> bool:
        try:
            await run(node, INSERT)
        except QuorumLostError:
            return True
        except OutcomeUnknownError:
            return False
        return False

    while not await refused():
        pass


async def test_a_promoted_replica_keeps_the_mode_of_the_log(crowd: Crowd) -> None:
    master = await crowd.node("master", replication__mode="sync")
    replica = await crowd.replica(
        "replica", master, replication__mode="async", replication__sync_timeout_ms=500
    )
    await caught_up(replica, await run(master, CREATE))
    assert replica.status().mode is Mode.SYNC
    await master.stop()

    with capture_logs() as logs:
        status = await replica.promote(force=True)

    assert status.mode is Mode.SYNC
    assert replica.history().reigns[-1].mode == "sync"
    told = next(one for one in logs if one["event"] == "mode_differs")
    assert "nexus mode URL async" in told["detail"]
    await refuses_writes(replica)


async def test_an_operator_has_the_mode_logged_without_voters(crowd: Crowd) -> None:
    master = await crowd.node("master", replication__mode="sync")
    replica = await crowd.replica("replica", master)
    await caught_up(replica, await run(master, CREATE))
    with pytest.raises(WrongRoleError, match="the master's to change"):
        await replica.set_mode(Mode.ASYNC)
    await replica.stop()

    assert (await master.set_mode(Mode.ASYNC)).mode is Mode.ASYNC

    await run(master, INSERT)
    assert await count(master) == 1
    assert [reign.why for reign in master.history().reigns] == ["start", "mode"]
    assert (await master.set_mode(Mode.ASYNC)).epoch == master.status().epoch
    assert len(master.history().reigns) == 2


async def test_a_master_that_starts_again_makes_the_mode_stronger_and_never_weaker(
    crowd: Crowd,
) -> None:
    modes = []
    for configured in ("async", "sync", "async"):
        master = await crowd.node("master", replication__mode=configured)
        modes.append(master.status().mode)
        await master.stop()

    assert modes == [Mode.ASYNC, Mode.SYNC, Mode.SYNC]


async def test_voters_keep_the_mode_of_the_log_whatever_they_are_configured_for(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await written(nodes, CREATE)
    heir = next(node for node in nodes if node is not master)
    peers = ",".join(address_of(node) for node in nodes)
    name, own = f"n{nodes.index(heir)}", address_of(heir)
    await heir.stop()
    heir = await crowd.node(
        name,
        "replica",
        replication__bind_addr=own,
        replication__peers=peers,
        replication__mode="async",
    )
    await caught_up(heir, await run(master, INSERT))
    await until(lambda: len(master.replicas()) == 2)

    await handed_over(master, heir)

    assert heir.status().mode is Mode.SYNC
    assert (await run(heir, INSERT)).durable_on >= 2


async def test_an_operator_has_the_mode_logged_and_every_voter_knows_it(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd, mode="async")
    master = await master_among(nodes)
    await run(master, CREATE)

    assert (await master.set_mode(Mode.SYNC)).mode is Mode.SYNC

    response = await acknowledged(master, INSERT)
    assert response.durable_on >= 2
    for node in nodes:
        await caught_up(node, response)
        assert node.status().mode is Mode.SYNC
    await master.set_mode(Mode.ASYNC)
    assert master.status().mode is Mode.ASYNC
    for node in nodes:
        await caught_up(node, await acknowledged(master, INSERT))


async def test_an_operator_has_the_quorum_logged_and_every_voter_knows_it(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    formed = master.members().sync_quorum
    with pytest.raises(ClusterChangeError, match="a quorum of 4"):
        await master.set_mode(Mode.SYNC, 4)

    await master.set_mode(Mode.SYNC, 3)
    all_hold_it = await acknowledged(master, INSERT)
    await master.set_mode(Mode.SYNC, 1)

    assert formed == 0
    assert all_hold_it.durable_on == 3
    for node in nodes:
        await until(lambda node=node: node.members().sync_quorum == 1)  # type: ignore[misc]  # mypy cannot type a lambda's default
    kinds = [event.kind for event in master._parts.events.since(0)]
    assert kinds.count("quorum_below_majority") == 1
    with capture_logs() as logs:
        warn_of_quorum(replace_quorum(master, 2), 1)
        warn_of_quorum(replace_quorum(master, 2), 2)
        warn_of_quorum(master._parts, 1)
    (told,) = logs
    assert (told["event"], told["in_force"]) == ("quorum_differs", 1)


def replace_quorum(node: Node, quorum: int) -> Parts:
    """The node's parts as if it were configured for that."""
    config = node.config
    replication = msgspec.structs.replace(config.replication, sync_quorum=quorum)
    changed = msgspec.structs.replace(config, replication=replication)
    return dataclasses.replace(node._parts, config=changed)


async def test_without_voters_the_quorum_is_no_matter_of_the_log(crowd: Crowd) -> None:
    master = await crowd.node("master", replication__mode="sync")

    with pytest.raises(ClusterChangeError, match="each master's own setting"):
        await master.set_mode(Mode.SYNC, 2)


async def test_a_copy_of_a_masters_directory_says_why_it_is_no_replica(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    await run(master, CREATE)
    await master.stop()
    shutil.copytree(master.config.data_dir, master.config.data_dir.with_name("copy"))

    with capture_logs() as lines:
        again = await crowd.node("master")
    assert "role_differs" not in {line["event"] for line in lines}

    with capture_logs() as lines:
        copy = await crowd.node(
            "copy", "replica", replication__master_addr=address_of(again)
        )

    (told,) = (line for line in lines if line["event"] == "role_differs")
    assert (told["configured"], told["in_force"]) == (Role.REPLICA, Role.MASTER)
    assert "start it with an empty directory" in told["detail"]
    assert copy.status().role is Role.MASTER
