"""What a forced promotion may lose is known, as far as it can be, before it is done."""

from node.builders import Crowd, caught_up, run, until
from node.electing import CREATE, voters, written


async def test_each_voter_that_answers_says_what_it_has_more(crowd: Crowd) -> None:
    nodes = await voters(crowd)
    master = await written(nodes, CREATE)
    behind, dead = [node for node in nodes if node is not master]
    response = await run(master, "insert into t values (1)")
    await caught_up(behind, response)
    dead_id = dead.node_id
    await dead.stop()

    told = await behind.losses()

    found = {voter.id: voter for voter in told.voters}
    assert found[master.node_id].ahead == 0
    assert found[master.node_id].durable_offset == response.offset
    assert found[dead_id].ahead is None
    assert told.durable_offset == response.offset
    assert "does not answer" in told.may_be_lost
    assert "is connected now" in told.may_be_lost
    assert behind.status().master_id == master.node_id


async def test_what_the_master_had_more_is_told_without_voters(crowd: Crowd) -> None:
    master, replica = await crowd.followed(CREATE)
    master.pause(None)
    await run(master, "insert into t values (1)")
    await until(lambda: replica.status().lag == 1)
    master_id = master.node_id
    await master.stop()
    await until(lambda: not replica.status().connected)

    told = await replica.losses()

    assert (told.lag, told.durable_offset, told.voters) == (1, 2, ())
    assert f"Its master {master_id} had 1 more" in told.may_be_lost
