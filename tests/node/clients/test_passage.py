"""A replica passes a client on to its master, which the client cannot reach."""

import pytest
from msgspec.structs import replace

from nexus.node.network.security import TransportSecurity
from nexus.protocol.calls import Attached, Execute, Fetch, Query, Rows
from nexus.protocol.messages import Error, ErrorCode
from nexus.protocol.passage import TO_MASTER
from node.builders import Crowd, caught_up, run, until
from node.calling import ATTACH, Client, connected

ASKING = replace(ATTACH, features=(TO_MASTER,))


async def passed_on(client: Client) -> Attached:
    """Attach to the master, through the replica that the client is connected to."""
    client.say(ASKING)
    told = await client.expect(Attached)
    assert (told.role, told.features) == ("replica", (TO_MASTER,))
    client.say(ATTACH)
    return await client.expect(Attached)


async def test_a_client_writes_and_reads_through_a_replica(crowd: Crowd) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(v)")
    replica = await crowd.replica("replica", master)

    async with connected(replica) as client:
        told = await passed_on(client)
        assert (told.role, told.node_id) == ("master", master.node_id)
        client.connection.handshake_done()
        await client.done(1, "insert into t values (?)", 7, transaction_id="once")
        again = await client.done(
            2, "insert into t values (?)", 7, transaction_id="once"
        )
        assert again.offset
        assert await client.rows(3, "select v from t") == [(7,)]


async def test_a_result_of_many_pieces_comes_through_whole(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    sql = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)"
        " select i, zeroblob(4096) from n"
    )

    async with connected(replica) as client:
        await passed_on(client)
        client.connection.handshake_done()
        client.say(Execute(1, (Query(sql),)))
        seen = []
        while True:
            rows = await client.expect(Rows)
            seen += [row[0] for row in rows.rows]
            if not rows.more:
                break
            client.say(Fetch(1))

    assert seen == list(range(1, 3001))


async def test_a_master_passes_nobody_on(crowd: Crowd) -> None:
    master = await crowd.node("master")

    async with connected(master) as client:
        client.say(ASKING)
        told = await client.expect(Attached)
        assert (told.role, told.features) == ("master", ())
        assert await client.rows(1, "select 1") == [(1,)]


async def test_a_replica_without_its_master_serves_the_client_itself(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    await caught_up(replica, await run(master, "create table t(v)"))
    async with connected(replica) as client:
        await passed_on(client)
        await master.stop()
        assert (await client.expect(Error)).code == ErrorCode.STOPPING
        assert await client.next() is None
    await until(lambda: not replica.status().connected)

    async with connected(replica) as client:
        client.say(ASKING)
        told = await client.expect(Attached)
        assert (told.role, told.features) == ("replica", ())
        assert await client.rows(1, "select count(*) from t") == [(0,)]


async def test_a_replica_that_does_not_reach_its_master_serves_the_client_itself(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    async def cut(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(TransportSecurity, "dial", cut)
    async with connected(replica) as client:
        client.say(ASKING)
        told = await client.expect(Attached)

    assert (told.role, told.features) == ("replica", ())


async def test_who_is_passed_on_counts_as_a_client_and_is_seen_off_as_one(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    most = {"limits__connections_per_address": 1}
    replica = await crowd.replica("replica", master, **most)

    async with connected(replica) as client:
        await passed_on(client)
        async with connected(replica) as another:
            another.say(ATTACH)
            assert (await another.expect(Error)).code == ErrorCode.BUSY
        passages = replica._callers._passages
        passages.see_off(lambda _: True)
        assert passages.count == 1
        passages.see_off(lambda _: False)
        assert await client.next() is None
    await until(lambda: not passages.count)
