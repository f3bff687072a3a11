"""An operator stops a voter for a while: the others go on, and it comes back."""

import pytest

from nexus.errors import ClusterChangeError, NoMasterError, WrongRoleError
from nexus.model.cluster import LinkState, Role
from nexus.node.elections.resting import Resting
from node.builders import Crowd, caught_up, count, run, until
from node.electing import CREATE, voters, written


async def test_a_stopped_voter_takes_no_part_and_comes_back_by_a_start(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await written(nodes, CREATE)
    stopped, other = (node for node in nodes if node is not master)
    await caught_up(stopped, await run(master, "insert into t values (1)"))

    status = await stopped.stop_replication()

    assert (status.role, status.state) == (Role.REPLICA, LinkState.STOPPED)
    assert "POST /replication/start" in status.last_error
    response = await run(master, "insert into t values (2)")
    await caught_up(other, response)
    assert await count(stopped) == 1
    assert stopped.history().reigns
    assert not stopped.ready(None)[0]
    assert not stopped.replica_stats().connected
    assert len(master.members().members) == 3
    with pytest.raises(NoMasterError, match="has stopped this voter"):
        await run(stopped, "insert into t values (3)")
    duty = stopped._duties.duty
    assert isinstance(duty, Resting)
    duty.tick()
    await duty.retain()
    for refused in (
        stopped.promote(force=True),
        stopped.start_replication(Role.MASTER, None),
    ):
        with pytest.raises(WrongRoleError):
            await refused
    with pytest.raises(WrongRoleError, match="has stopped this voter"):
        stopped.members()

    await stopped.start_replication(Role.REPLICA, None)

    await caught_up(stopped, response)
    assert await count(stopped) == 2
    await until(lambda: stopped.status().state is LinkState.STREAMING)


async def test_a_voter_is_not_stopped_where_the_others_cannot_do_without_it(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await written(nodes, CREATE)
    one, other = (node for node in nodes if node is not master)
    with pytest.raises(WrongRoleError, match="hand over first"):
        await master.stop_replication()
    await other.stop()

    with pytest.raises(ClusterChangeError, match="only 1 of the other 2 voters"):
        await one.stop_replication()

    response = await run(master, "insert into t values (1)")
    await caught_up(one, response)
