"""Replication is started and stopped on a node that runs."""

import pytest

from e2e.cluster import free_port
from nexus.errors import RequestError
from nexus.model.cluster import LinkState, Role
from nexus.node.elections.voting import Voting
from node import electing
from node.builders import Crowd, address_of, count, run, until

CREATE = "create table t(id integer primary key, v)"
INSERT = "insert into t(v) values ('x')"


async def test_a_role_is_taken_and_given_up_without_a_restart(crowd: Crowd) -> None:
    master = await crowd.node("master")
    await run(master, CREATE)
    other = await crowd.node("other", "standalone")
    with pytest.raises(RequestError, match="needs master_addr"):
        await other.start_replication(Role.REPLICA, None)
    assert other.status().role is Role.STANDALONE

    await other.start_replication(Role.REPLICA, address_of(master))
    assert other.status().role is Role.REPLICA


async def test_a_stopped_replica_is_a_standalone_node_with_all_rows(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE, INSERT)
    status = await replica.stop_replication()

    assert status.role is Role.STANDALONE
    await run(replica, INSERT)
    assert await count(replica) == 2
    assert await count(master) == 1
    await until(lambda: master.status().replica_count == 0)


async def test_a_stopped_replica_that_follows_again_leaves_the_master_its_mastership(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE, INSERT)
    await replica.stop_replication()
    await run(replica, INSERT)

    await replica.start_replication(Role.REPLICA, address_of(master))
    await until(lambda: replica.status().state is LinkState.STREAMING)
    await run(master, INSERT, INSERT)

    await until(lambda: replica.status().applied_offset == master.status().wal_offset)
    assert await count(replica) == await count(master) == 3
    assert len(replica.diverged.list()) == 1


@pytest.mark.parametrize("asks", ["the master", "a voter"])
async def test_a_stopped_learner_that_follows_again_costs_no_failover(
    crowd: Crowd, asks: str
) -> None:
    nodes = await electing.voters(crowd)
    master = await electing.written(nodes, electing.CREATE)
    other = next(node for node in nodes if node is not master)
    learner = await crowd.node(
        "learner",
        "replica",
        replication__bind_addr=f"127.0.0.1:{free_port()}",
        replication__master_addr=address_of(master),
        replication__mode="sync",
    )
    await until(lambda: isinstance(learner._duties.duty, Voting))
    await until(lambda: learner.status().state is LinkState.STREAMING)
    status = await learner.stop_replication()
    assert status.role is Role.STANDALONE

    before = len(master.history().reigns)
    asked = master if asks == "the master" else other
    await learner.start_replication(Role.REPLICA, address_of(asked))

    await until(lambda: master.status().epoch > status.epoch)
    await until(lambda: learner.status().state is LinkState.STREAMING)
    assert master.status().role is Role.MASTER
    since = master.history().reigns[before:]
    assert {reign.why for reign in since} == {"renewal"}
