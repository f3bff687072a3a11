"""Two machines and a witness: it votes and keeps the log, and holds no database."""

import asyncio

import pytest

from e2e.cluster import free_port
from nexus.errors import (
    ClusterChangeError,
    QuorumLostError,
    StorageError,
    WrongRoleError,
)
from nexus.model.cluster import LinkState, Role
from nexus.node.node import Node
from nexus.node.roles import machines
from nexus.node.startup import LEAST_SEGMENT_BYTES
from node.builders import HEARTBEAT_MS, Crowd, caught_up, count, run, until
from node.electing import CREATE, master_among, voters, written


async def with_witness(crowd: Crowd, **flags: int) -> tuple[Node, Node, Node]:
    """The master, the replica and the witness of a new cluster."""
    nodes = await voters(crowd, roles={2: "witness"}, **flags)
    master = await master_among(nodes)
    replica = next(node for node in nodes[:2] if node is not master)
    return master, replica, nodes[2]


async def test_a_witness_makes_the_majority_and_keeps_no_rows(crowd: Crowd) -> None:
    master, replica, witness = await with_witness(crowd)
    assert witness.status().role is Role.WITNESS
    await replica.stop()
    await written([master], CREATE)
    response = await run(master, "insert into t values (1)")
    assert response.durable_on == 2
    status = witness.status()
    assert status.durable_offset == response.offset
    assert (status.role, status.has_database) == (Role.WITNESS, False)
    assert status.state is LinkState.STREAMING
    assert (status.lag, status.lag_seconds) == (0, 0.0)
    seen = next(one for one in master.replicas() if one.id == witness.node_id)
    assert (seen.last_ack_offset, seen.lag, seen.lag_seconds) == (response.offset, 0, 0)
    assert witness.replica_stats().entries_received >= response.offset
    assert not (witness.config.data_dir / "nexus.db").exists()
    assert witness.ready(None) == (
        False,
        "this node is a witness: it has no database to read",
    )
    with pytest.raises(ClusterChangeError, match="is a witness"):
        await master.switch_over(witness.node_id)


async def test_a_witness_is_not_promoted_by_force_either(crowd: Crowd) -> None:
    master, _, witness = await with_witness(crowd)
    before = witness.status()

    for refused in (
        witness.promote(force=True),
        witness.promote(force=False),
        witness.losses(),
    ):
        with pytest.raises(WrongRoleError, match="never reigns; nothing was changed"):
            await refused

    after = witness.status()
    assert (after.epoch, after.wal_offset) == (before.epoch, before.wal_offset)
    assert master.status().role is Role.MASTER


async def test_what_only_a_witness_has_beside_the_dead_master_is_not_lost(
    crowd: Crowd,
) -> None:
    master, replica, witness = await with_witness(crowd)
    await caught_up(replica, await run(master, CREATE))
    await replica.stop()
    await written([master], "insert into t values (1)")
    await until(
        lambda: witness.status().durable_offset == master.status().durable_offset
    )
    await master.stop()

    heir = Node(replica.config)
    await heir.start()
    try:
        await written([heir], "insert into t values (2)")
        assert await count(heir) == 2
        assert heir.status().role is Role.MASTER
    finally:
        await heir.stop()


async def test_a_witness_goes_on_where_it_was_after_a_restart(crowd: Crowd) -> None:
    master, _, witness = await with_witness(crowd)
    await run(master, CREATE)
    await until(
        lambda: witness.status().durable_offset == master.status().durable_offset
    )
    reigns = witness.history().reigns
    await witness.stop()
    again = Node(witness.config)
    await again.start()
    try:
        await until(lambda: again.status().state is LinkState.STREAMING)
        assert again.history().reigns[: len(reigns)] == reigns
        response = await run(master, "insert into t values (1)")
        await until(lambda: again.status().durable_offset == response.offset)
        assert len(again._duties.voting().voters) == 3
    finally:
        await again.stop()


async def test_a_new_witness_joins_a_cluster_whose_log_begins_later(
    crowd: Crowd,
) -> None:
    master, _, witness = await with_witness(crowd, max_log_size=8)
    await run(master, CREATE)
    gone_id = witness.node_id
    peers = witness.config.replication.peers
    await witness.stop()
    for value in range(20):
        await run(master, f"insert into t values ({value})")
    await until(lambda: master._parts.log.first_offset > 3)
    fresh = await crowd.node(
        "fresh",
        "witness",
        replication__bind_addr=f"127.0.0.1:{free_port()}",
        replication__master_addr=master._parts.address,
        replication__mode="sync",
    )
    end = master.status().durable_offset
    await until(lambda: fresh.status().durable_offset == end)
    await until(lambda: fresh.status().state is LinkState.STREAMING)
    assert fresh.history() == master.history()
    await until(
        lambda: sum(one.state is LinkState.STREAMING for one in master.replicas()) == 2
    )
    await master.remove_voter(gone_id)
    await master.add_voter(fresh.node_id, "")
    voting = fresh._duties.voting()
    await until(lambda: fresh.node_id in dict(voting.voters))
    assert len(peers) == 3
    await fresh.stop()
    again = Node(fresh.config)
    await again.start()
    try:
        assert again.history().reigns == master.history().reigns
        assert fresh.config.replication.role is Role.WITNESS
    finally:
        await again.stop()


async def test_hard_case_11_a_witness_drops_only_what_every_voter_holds(
    crowd: Crowd,
) -> None:
    master, replica, witness = await with_witness(crowd, max_log_size=8)
    await caught_up(replica, await run(master, CREATE))
    heir_config = replica.config
    lacks_from = replica.status().durable_offset
    await replica.stop()
    for value in range(30):
        await written([master], f"insert into t values ({value})")
    await until(lambda: witness.status().durable_offset > 30)
    await asyncio.sleep(HEARTBEAT_MS * 15 / 1000)
    assert witness._parts.log.first_offset <= lacks_from + 1

    again = Node(heir_config)
    await again.start()
    try:
        await until(lambda: witness._parts.log.first_offset > lacks_from + 8)
        base = witness._parts.state.base
        assert base is not None
        assert len(base.configuration.voters) == 3
    finally:
        await again.stop()


async def test_a_witness_with_a_shortened_log_starts_again_and_lends_what_it_has(
    crowd: Crowd,
) -> None:
    master, replica, witness = await with_witness(crowd, max_log_size=8)
    await run(master, CREATE)
    for value in range(30):
        await run(master, f"insert into t values ({value})")
    await until(lambda: witness._parts.log.first_offset > 8)
    first, reigns = witness._parts.log.first_offset, witness.history().reigns
    await witness.stop()
    await replica.stop()

    again = Node(witness.config)
    await again.start()
    try:
        assert not again._parts.state.incomplete
        assert again._parts.log.first_offset >= first
        assert again.history().reigns[: len(reigns)] == reigns
        await written([master], "insert into t values (31)")
        end = master.status().durable_offset
        await until(lambda: again.status().durable_offset == end)
        await master.stop()
        heir = Node(replica.config)
        await heir.start()
        try:
            await written([heir], "insert into t values (32)")
            assert await count(heir) == 32
        finally:
            await heir.stop()
    finally:
        await again.stop()


@pytest.mark.parametrize("returns", [True, False], ids=["returns", "is_removed"])
async def test_hard_case_11_a_full_witness_stops_until_the_voter_returns_or_is_removed(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, *, returns: bool
) -> None:
    monkeypatch.setattr(machines, "LEAST_FILES", 0)
    # Its newest file takes a mebibyte, the others what they hold.
    most = LEAST_SEGMENT_BYTES * 3 // 2
    master, replica, witness = await with_witness(crowd, max_log_size=8, hold_size=most)
    waiting = asyncio.create_task(run(master, CREATE))
    await caught_up(replica, await waiting)
    replica_id = replica.node_id
    await replica.stop()
    while not witness.status().last_error:
        insert = "insert into t values (zeroblob(60000))"
        waiting = asyncio.create_task(run(master, insert))
        await asyncio.wait({waiting}, timeout=0.2)
    assert "replication.hold_size" in witness.status().last_error
    assert witness.status().state is LinkState.STREAMING
    assert witness.figures().witness_full
    await until(lambda: master.figures().lacks_quorum)
    refusal = f"the log of the witness {witness.node_id} .* nothing happened"
    with pytest.raises(QuorumLostError, match=refusal):
        await run(master, "insert into t values (1)")
    (row,) = (one for one in master.replicas() if one.id == witness.node_id)
    assert row.full

    again = Node(replica.config)
    if returns:
        await again.start()
    else:
        await master.remove_voter(replica_id)
    try:
        await waiting
        end = master.status().durable_offset
        await until(lambda: witness.status().durable_offset >= end)
        await until(lambda: not witness.status().last_error)
        await until(lambda: not master.figures().lacks_quorum)
        await run(master, "insert into t values (2)")
    finally:
        await again.stop()


async def test_a_directory_with_a_database_is_no_witnesss(crowd: Crowd) -> None:
    node = await crowd.node("data", "standalone")
    await node.stop()
    with pytest.raises(StorageError, match="a witness keeps no database"):
        await crowd.node("data", "witness", replication__master_addr="127.0.0.1:1")


async def test_a_witness_has_nothing_to_pause(crowd: Crowd) -> None:
    master, _, witness = await with_witness(crowd)

    with pytest.raises(WrongRoleError, match="no database"):
        witness.pause(None)
    with pytest.raises(WrongRoleError, match="no database"):
        witness.resume(None)
    with pytest.raises(WrongRoleError, match="no database"):
        await witness.apply_until(None, None)

    response = await run(master, CREATE)
    await until(lambda: witness.status().durable_offset == response.offset)
    assert not witness.status().paused
