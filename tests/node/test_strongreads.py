"""A strong read sees all that was acknowledged before it began, or is refused."""

import pytest

from nexus.errors import ReadOnlyReplicaError, RequestError
from nexus.model.cluster import LinkState
from node.builders import Crowd, run, until
from node.electing import CREATE, master_among, voters


async def test_a_strong_read_sees_all_that_was_acknowledged_and_is_the_masters(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await run(master, CREATE)
    await run(master, "insert into t values (1)")
    read = await run(master, "select count(*) from t", consistency="strong")
    assert read.results[0].rows == [(1,)]
    replica = next(node for node in nodes if node is not master)
    await until(lambda: replica.status().state is LinkState.STREAMING)
    with pytest.raises(ReadOnlyReplicaError) as told:
        await run(replica, "select count(*) from t", consistency="strong")
    assert told.value.master_url == master.status().master_url


async def test_without_voters_only_a_node_alone_answers_strong_reads(
    crowd: Crowd,
) -> None:
    alone = await crowd.node("alone", "standalone")
    await run(alone, CREATE)
    read = await run(alone, "select count(*) from t", consistency="strong")
    assert read.results[0].rows == [(0,)]
    master = await crowd.node("master")
    with pytest.raises(RequestError, match="needs voters"):
        await run(master, "select 1", consistency="strong")
