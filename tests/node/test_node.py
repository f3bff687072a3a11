"""Nodes in one process: start and stop, roles at run time, promotion, deposition."""

import asyncio
import re
from pathlib import Path

import pytest

from nexus.errors import (
    ConfigurationError,
    DataDirectoryLockedError,
    NexusError,
    NodeStoppedError,
    NoMasterError,
    NotFoundError,
    ReadOnlyReplicaError,
    RequestError,
    WritesStoppedError,
    WrongRoleError,
)
from nexus.model.cluster import LinkState, Role
from nexus.model.position import Offset
from nexus.node.node import Node
from nexus.node.startup import PROMOTION_STEP
from nexus.replication.effects import StopWrites
from node.builders import (
    PATIENCE_S,
    Crowd,
    address_of,
    caught_up,
    count,
    elsewhere,
    run,
    settings,
    until,
)

CREATE = "create table t(id integer primary key, v)"
INSERT = "insert into t(v) values ('x')"


async def refused(node: Node, *statements: str) -> NexusError:
    """The error that a request gets."""
    with pytest.raises(NexusError) as raised:
        await run(node, *statements)
    return raised.value


# --- Start and stop -------------------------------------------------------------------


async def test_a_master_takes_writes_and_says_how_it_fares(crowd: Crowd) -> None:
    node = await crowd.node("master")
    answer = await run(node, CREATE)
    status = node.status()

    assert (status.role, status.state) == (Role.MASTER, LinkState.STREAMING)
    assert status.running
    assert status.node_id == status.master_id == node.node_id
    assert answer.offset == 2
    assert (
        status.wal_offset
        == status.durable_offset
        == status.applied_offset
        == status.commit_offset
        == 2
    )
    assert status.epoch == answer.epoch == 1
    assert node.ready(None) == (True, "")
    assert len(node.history().reigns) == 1
    assert node.master_stats().current_offset == 2
    with pytest.raises(WrongRoleError, match=r"one of its replicas \(it has none\)"):
        node.replica_stats()


async def test_every_start_of_a_master_begins_an_epoch_and_keeps_the_rows(
    tmp_path: Path,
) -> None:
    for start in range(1, 4):
        node = Node(settings(tmp_path))
        await node.start()
        if start == 1:
            await run(node, CREATE)
        await run(node, INSERT)
        assert node.status().epoch == start
        assert await count(node) == start
        await node.stop()


async def test_a_stopped_node_says_so_whatever_it_is_asked(crowd: Crowd) -> None:
    node = await crowd.node("master")
    await node.stop()
    await node.stop()

    assert isinstance(await refused(node, CREATE), NodeStoppedError)
    for call in (
        node.promote(force=True),
        node.start_replication(Role.MASTER, None),
        node.start(),
    ):
        with pytest.raises(NodeStoppedError):
            await call
    with pytest.raises(NodeStoppedError):
        node.status()
    assert not node.ready(None)[0]


async def test_a_stop_during_the_start_waits_for_it_and_lets_everything_go(
    tmp_path: Path,
) -> None:
    node = Node(settings(tmp_path))
    starting = asyncio.create_task(node.start())
    await asyncio.sleep(0)
    await asyncio.gather(node.stop(), node.stop())
    await asyncio.gather(starting, return_exceptions=True)

    assert not node.ready(None)[0]
    again = Node(settings(tmp_path))
    await again.start()
    await again.stop()


async def test_two_stops_both_return_when_everything_is_closed(tmp_path: Path) -> None:
    node = Node(settings(tmp_path))
    await node.start()
    stops = [asyncio.create_task(node.stop()) for _ in range(2)]
    await asyncio.wait(stops, return_when=asyncio.FIRST_COMPLETED)

    again = Node(settings(tmp_path))
    await again.start()
    await again.stop()
    await asyncio.gather(*stops)


async def test_a_stop_during_a_change_of_role_waits_for_it(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    promoting = asyncio.create_task(replica.promote(force=True))
    await asyncio.sleep(0)
    await replica.stop()
    await asyncio.gather(promoting, return_exceptions=True)

    again = await crowd.node(
        "replica", "replica", replication__master_addr=address_of(master)
    )
    assert again.status().running


async def test_a_start_that_fails_leaves_nothing_behind(
    crowd: Crowd, tmp_path: Path
) -> None:
    master = await crowd.node("master")
    taken = settings(tmp_path / "other", replication__bind_addr=address_of(master))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            await Node(taken).start()
    with pytest.raises(DataDirectoryLockedError):
        await Node(settings(tmp_path / "master")).start()
    assert (await run(master, CREATE)).offset == 2


async def test_a_stop_answers_who_waits_and_ends_queries_that_never_end(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    endless = asyncio.create_task(
        run(
            node,
            "with recursive n(i) as (select 1 union all select i + 1 from n) "
            "select count(*) from n",
        )
    )
    await until(lambda: node.database._readers._lent)
    writes = [asyncio.create_task(run(node, INSERT)) for _ in range(20)]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await node.stop()
        answers = await asyncio.gather(endless, *writes, return_exceptions=True)

    assert isinstance(answers[0], NodeStoppedError)
    assert all(
        not isinstance(a, Exception) or isinstance(a, NexusError) for a in answers
    )


# --- Replicas -------------------------------------------------------------------------


async def test_a_replica_follows_and_refuses_writes_naming_its_master(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE, INSERT)

    status = replica.status()
    assert await count(replica) == 1
    assert status.connected
    assert (status.role, status.lag) == (Role.REPLICA, 0)
    assert status.cluster_id == master.status().cluster_id
    assert status.master_id == master.node_id
    assert replica.ready(0) == (True, "")
    assert replica.replica_stats().entries_applied >= 2
    (known,) = master.replicas()
    with pytest.raises(WrongRoleError, match=re.escape(f"({known.http_url})")):
        master.replica_stats()
    error = await refused(replica, INSERT)
    assert isinstance(error, ReadOnlyReplicaError)
    assert error.master_url == status.master_url
    with pytest.raises(WrongRoleError, match="ask the master at"):
        replica.replicas()
    await until(lambda: master.replicas()[0].applied_offset == 3)
    assert master.replicas()[0].id == replica.node_id
    assert master.status().replica_count == 1


async def test_a_replica_that_never_met_its_master_waits_and_says_so(
    crowd: Crowd,
) -> None:
    replica = await crowd.node(
        "replica", "replica", replication__master_addr="127.0.0.1:9"
    )
    assert isinstance(await refused(replica, CREATE), NoMasterError)
    assert replica.ready(None)[0] is False
    assert not replica.status().connected
    for force in (False, True):
        with pytest.raises(WrongRoleError, match="never met its master"):
            await replica.promote(force=force)
    await until(lambda: "127.0.0.1:9" in replica.status().last_error)


async def test_a_paused_replica_receives_and_applies_only_when_resumed(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE)
    replica.pause(None)
    await run(master, INSERT)
    await until(lambda: replica.status().durable_offset == 3)
    assert replica.status().paused
    assert replica.status().applied_offset == 2
    assert replica.ready(0)[0] is False

    replica.resume(None)
    await replica.wait_applied(Offset(3), timeout_s=PATIENCE_S)
    assert not replica.status().paused


async def test_a_replica_pauses_itself_and_nobody_else(crowd: Crowd) -> None:
    replica = await crowd.replica("replica", await crowd.node("master"))

    with pytest.raises(WrongRoleError, match="another's stream is the master's"):
        replica.pause("another")
    assert not replica.status().paused
    replica.pause(replica.node_id)
    with pytest.raises(WrongRoleError):
        replica.resume("another")
    assert replica.status().paused


async def test_a_paused_master_streams_to_nobody_until_it_is_resumed(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE)
    master.pause(None)
    assert master.status().paused
    answer = await run(master, INSERT)
    with pytest.raises(TimeoutError):
        await replica.wait_applied(Offset(answer.offset), timeout_s=0.1)

    master.resume(None)
    await caught_up(replica, answer)


async def test_hashes_of_a_mark_agree_on_master_and_replica(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    await run(master, CREATE, INSERT)
    with pytest.raises(WrongRoleError):
        await replica.begin_verify()
    mark = await master.begin_verify()
    await replica.wait_applied(mark, timeout_s=PATIENCE_S)
    found = []
    for node in (master, replica):
        await until(lambda: node._parts.verifications.result(mark))  # noqa: B023
        found.append(await node.verification(mark))

    assert found[0] == found[1]
    with pytest.raises(NotFoundError):
        await master.verification(Offset(1))


# --- Promotion ------------------------------------------------------------------------


async def test_a_replica_whose_master_is_gone_takes_over_and_keeps_every_row(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE, INSERT)
    await master.stop()
    await until(lambda: not replica.status().connected)

    status = await replica.promote(force=False)

    assert status.role is Role.MASTER
    assert status.epoch == 1 + PROMOTION_STEP
    assert replica.history().reigns[-1].why == "promote"
    await run(replica, INSERT)
    assert await count(replica) == 2
    with pytest.raises(WrongRoleError, match="the master already"):
        await replica.promote(force=False)


async def test_a_living_master_is_not_deposed_without_force(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    with pytest.raises(WrongRoleError, match="alive and connected"):
        await replica.promote(force=False)
    assert replica.status().role is Role.REPLICA
    await caught_up(replica, await run(master, CREATE))


async def test_a_deposed_master_follows_the_new_one_and_loses_no_common_row(
    crowd: Crowd,
) -> None:
    old = await crowd.node("old")
    new = await crowd.replica("new", old)
    await run(old, CREATE)
    await caught_up(new, await run(old, INSERT))
    await new.promote(force=True)
    assert new.history().reigns[-1].why == "force"

    await until(lambda: old.status().role is Role.REPLICA)
    await until(lambda: old.status().state is LinkState.STREAMING)
    answer = await run(new, INSERT)
    await caught_up(old, answer)
    assert await count(old) == await count(new) == 2
    assert isinstance(await refused(old, INSERT), ReadOnlyReplicaError)
    assert old.status().epoch == new.status().epoch


async def test_entries_that_only_the_deposed_master_has_are_kept_as_rows(
    crowd: Crowd,
) -> None:
    old = await crowd.node("old")
    new = await crowd.replica("new", old)
    await caught_up(new, await run(old, CREATE))
    old.pause(None)
    for _ in range(3):
        await run(old, INSERT)
    await new.promote(force=True)
    await run(new, "insert into t(v) values ('the new one')")

    await until(lambda: old.status().role is Role.REPLICA)
    await until(lambda: old.status().state is LinkState.STREAMING)
    await caught_up(old, await run(new, INSERT))
    rows = [
        (await run(node, "select v from t order by id")).results[0].rows
        for node in (old, new)
    ]
    assert rows[0] == rows[1] == [("the new one",), ("x",)]
    (kept,) = old.diverged.list()
    assert kept.entries == 3
    assert (old.replica_stats().rewinds, old.replica_stats().full_syncs) == (1, 0)


# --- Roles at run time ----------------------------------------------------------------


async def test_a_role_taken_at_run_time_outlives_a_restart(
    crowd: Crowd, tmp_path: Path
) -> None:
    master, replica = await crowd.followed(CREATE)
    await master.stop()
    await until(lambda: not replica.status().connected)
    await replica.promote(force=False)
    await replica.stop()

    again = Node(
        settings(
            tmp_path / "replica", "replica", replication__master_addr="127.0.0.1:9"
        )
    )
    await again.start()
    assert again.status().role is Role.MASTER
    await run(again, INSERT)
    await again.stop()


# --- Failures -------------------------------------------------------------------------


async def test_rows_written_past_the_log_stop_the_writes_and_not_the_reads(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await crowd.node("master")
    await run(node, CREATE)
    elsewhere(tmp_path / "master" / "nexus.db", "insert into t(v) values ('foreign')")
    first = await refused(node, INSERT)
    await until(lambda: not node.status().running)
    second = await refused(node, INSERT)

    assert isinstance(first, WritesStoppedError)
    assert isinstance(second, WritesStoppedError)
    assert "somebody other than this node wrote" in node.status().last_error
    assert node.ready(None)[0] is False
    assert "somebody other" in node.ready(None)[1]
    assert await count(node) == 1


async def test_a_wal_taken_away_stops_the_writes_and_tells_why(
    crowd: Crowd, tmp_path: Path
) -> None:
    # What a second SQLite in this process does when it closes the database.
    node = await crowd.node("master")
    await run(node, CREATE)
    (tmp_path / "master" / "nexus.db-wal").unlink()
    with pytest.raises(NexusError):
        await run(node, INSERT)
    await until(lambda: not node.status().running)

    assert "another copy of SQLite" in node.status().last_error
    await node.stop()
    again = await crowd.node("master")
    assert again.status().running
    assert await count(again) in {0, 1}


async def test_a_role_that_cannot_be_taken_is_told_and_can_be_tried_again(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, replica = await crowd.followed(CREATE)
    await master.stop()
    await until(lambda: not replica.status().connected)

    def full(*_: object) -> None:
        raise RequestError("stands for whatever may be wrong")

    with monkeypatch.context() as patched:
        patched.setattr("nexus.node.roles.reigning.redo", full)
        with pytest.raises(RequestError):
            await replica.promote(force=False)
    assert replica.ready(None)[0] is False
    assert "stands for whatever" in replica.status().last_error
    assert isinstance(await refused(replica, INSERT), NoMasterError)

    await replica.start_replication(Role.MASTER, None)
    assert replica.ready(None) == (True, "")
    assert replica.status().running
    await run(replica, INSERT)


async def test_two_masters_of_one_epoch_stop_until_one_is_forced_higher(
    crowd: Crowd,
) -> None:
    first = await crowd.node("first")
    second = await crowd.replica("second", first)
    await caught_up(second, await run(first, CREATE))
    reason = "two masters of one epoch"
    first._duties.stop_writes(StopWrites(reason))
    assert isinstance(await refused(first, INSERT), WritesStoppedError)
    assert first.status().last_error == reason

    status = await first.promote(force=True)
    assert status.running
    assert status.last_error == ""
    assert status.epoch >= 1 + PROMOTION_STEP
    assert (await run(first, INSERT)).epoch == status.epoch
