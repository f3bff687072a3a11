"""A replica applies no more, a master streams no more, until an operator says so."""

import pytest

from nexus.errors import WrongRoleError
from nexus.model.cluster import LinkState
from node.builders import Crowd, run, until


async def test_a_replica_that_is_paused_applies_nothing_until_it_goes_on(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    replica.pause(None)
    response = await run(master, "create table t(v)")
    await until(lambda: replica.status().durable_offset == response.offset)
    paused = replica.status()
    replica.resume(replica.node_id)

    assert paused.state is LinkState.PAUSED
    assert paused.applied_offset < response.offset
    await until(lambda: replica.status().applied_offset == response.offset)


async def test_anothers_stream_is_the_masters_to_pause(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    with pytest.raises(WrongRoleError, match="another's stream is the master's"):
        replica.pause("somebody-else")
