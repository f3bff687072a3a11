"""A replica's apply in an operator's hands: paused, late on purpose, up to an entry."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nexus.errors import NotAppliedError, RequestError, StorageError, WrongRoleError
from nexus.model.cluster import LinkState
from nexus.model.position import Offset
from nexus.node.node import Node
from nexus.node.operators.promotion import require_promotable
from nexus.node.requests import SqlResponse
from nexus.node.roles.holding import last_before
from node.builders import Crowd, caught_up, count, run, until
from node.electing import master_among, voters
from node.electing import written as written_by
from node.roles.test_following import duty_of

CREATE = "create table t(id integer primary key, v)"
INSERT = "insert into t(v) values (1)"
DAY_MS = 86_400_000
SOON_MS = 300


async def pair(crowd: Crowd, delay_ms: int = DAY_MS) -> tuple[Node, Node]:
    """A master, and a replica that is so late on purpose."""
    master = await crowd.node("master")
    late = await crowd.replica("late", master, replication__apply_delay_ms=delay_ms)
    return master, late


async def received(late: Node, last: SqlResponse) -> None:
    """Return once the replica's log has it."""
    await until(lambda: late.status().durable_offset >= last.offset)


async def written(master: Node, late: Node, rows: int) -> list[SqlResponse]:
    """A table, then so many rows; the replica's log has them."""
    done = [await run(master, CREATE)]
    done += [await run(master, INSERT) for _ in range(rows)]
    await received(late, done[-1])
    return done


async def test_a_delayed_replica_acknowledges_at_once_and_applies_nothing_yet(
    crowd: Crowd,
) -> None:
    master, late = await pair(crowd)

    done = await written(master, late, 3)
    await until(lambda: master.replicas()[0].last_ack_offset == done[-1].offset)
    (seen,) = master.replicas()
    status = late.status()

    assert status.applied_offset == 0
    assert (status.state, status.lag, status.lag_seconds) == (LinkState.STREAMING, 0, 0)
    assert (status.held_back, status.apply_delay_ms) == (done[-1].offset, DAY_MS)
    assert (seen.lag, seen.lag_seconds, seen.apply_delay_ms) == (0, 0, DAY_MS)


async def test_what_is_held_back_stays_in_the_log_however_much_it_is(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    flags = {"replication__apply_delay_ms": DAY_MS, "replication__max_log_size": 8}
    late = await crowd.replica("late", master, **flags)

    await written(master, late, 40)
    await late._duties.duty.retain()  # type: ignore[union-attr]  # it has a role

    log = late._parts.log
    assert log.entry_count > 40 > late.config.replication.max_log_size
    assert log.first_offset == 1


async def test_it_applies_what_has_become_old_enough(crowd: Crowd) -> None:
    master, late = await pair(crowd, SOON_MS)

    done = await written(master, late, 2)
    await caught_up(late, done[-1])

    (began,) = (one for one in late.history().reigns if one.epoch == done[0].epoch)
    assert began.started_us > 0
    assert await count(late) == 2
    assert late.status().held_back == 0


async def test_after_a_restart_it_goes_on_waiting(crowd: Crowd) -> None:
    master, late = await pair(crowd)
    await written(master, late, 2)
    await late.stop()

    again = Node(late.config)
    await again.start()
    try:
        await until(lambda: again.status().state is LinkState.STREAMING)
        more = await run(master, INSERT)
        await received(again, more)
        assert again.status().applied_offset == 0
        again.resume(None, at_once=True)
        await caught_up(again, more)
        assert await count(again) == 3
    finally:
        await again.stop()


async def test_entries_are_applied_up_to_a_chosen_one_and_no_further(
    crowd: Crowd,
) -> None:
    master, late = await pair(crowd)
    done = await written(master, late, 5)

    status = await late.apply_until(Offset(done[3].offset), None)
    await caught_up(late, done[3])
    more = await run(master, INSERT)
    await received(late, more)

    assert status.paused
    assert late.status().applied_offset == done[3].offset
    assert await count(late) == 3
    late.resume(None, at_once=True)
    await caught_up(late, more)
    assert await count(late) == 6


async def test_entries_are_applied_that_were_written_before_a_time(
    crowd: Crowd,
) -> None:
    master, late = await pair(crowd)
    done = await written(master, late, 2)
    time_us = time.time_ns() // 1000
    await asyncio.sleep(0.01)
    more = await run(master, INSERT)
    await received(late, more)

    await late.apply_until(None, time_us)
    await caught_up(late, done[-1])

    parts = late._parts
    assert late.status().applied_offset == done[-1].offset
    assert last_before(parts, 0) == done[-1].offset
    assert last_before(parts, time_us + DAY_MS * 1000) == more.offset
    late.resume(None, at_once=True)
    await caught_up(late, more)
    assert last_before(parts, 0) == more.offset


@pytest.mark.parametrize(
    ("until_entry", "reason"), [(1, "applied already"), (99, "name one")]
)
async def test_what_is_applied_or_has_not_come_is_nothing_to_stop_at(
    crowd: Crowd, until_entry: int, reason: str
) -> None:
    master, replica = await crowd.followed(CREATE)

    with pytest.raises(RequestError, match=reason):
        await replica.apply_until(Offset(until_entry), None)
    with pytest.raises(WrongRoleError, match="applied all"):
        await master.apply_until(Offset(until_entry), None)

    assert not replica.status().paused


async def test_who_wants_to_read_his_own_write_is_told_that_it_is_a_delayed_replica(
    crowd: Crowd,
) -> None:
    master, late = await pair(crowd)
    done = await written(master, late, 1)

    with pytest.raises(
        NotAppliedError, match="delayed replica: it applies entries 86400"
    ):
        await run(late, "select 1", min_offset=done[-1].offset)


async def test_a_delayed_replica_is_promoted_by_force_alone_and_then_applies_all(
    crowd: Crowd,
) -> None:
    master, late = await pair(crowd)
    await written(master, late, 3)
    await master.stop()
    await until(lambda: not late.status().connected)

    with pytest.raises(WrongRoleError, match=r"delayed on purpose: .* the 5 entries"):
        require_promotable(duty_of(late), force=False)
    await late.promote(force=True)

    assert await count(late) == 3


@asynccontextmanager
async def restarted(node: Node) -> AsyncIterator[Node]:
    """The same node in another life."""
    await node.stop()
    again = Node(node.config)
    await again.start()
    try:
        yield again
    finally:
        await again.stop()


async def test_a_paused_replica_is_paused_after_a_restart_until_it_is_resumed(
    crowd: Crowd,
) -> None:
    master, replica = await crowd.followed(CREATE)
    replica.pause(None)

    async with restarted(replica) as again:
        await until(lambda: again.status().state is LinkState.PAUSED)
        last = await run(master, INSERT)
        await until(lambda: master.replicas()[0].last_ack_offset == last.offset)
        assert again.status().paused
        assert await count(again) == 0
        assert any(
            "before the restart" in event.detail for event in again.events.since(0)
        )

        again.resume(None)
        await caught_up(again, last)
        async with restarted(again) as third:
            await until(lambda: third.status().state is LinkState.STREAMING)
            assert not third.status().paused
            await caught_up(third, await run(master, INSERT))


async def test_where_an_operator_had_it_stop_it_stands_after_a_restart(
    crowd: Crowd,
) -> None:
    master, late = await pair(crowd)
    done = await written(master, late, 3)
    await late.apply_until(Offset(done[1].offset), None)
    await caught_up(late, done[1])

    async with restarted(late) as again:
        await until(lambda: again.status().state is LinkState.PAUSED)
        assert again.status().applied_offset == done[1].offset


async def test_a_pause_that_cannot_be_kept_is_none(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    def full(**_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(replica._parts.storage.catalog, "update", full)
    with pytest.raises(StorageError, match="the disk is full"):
        replica.pause(None)

    assert not replica.status().paused
    await caught_up(replica, await run(master, CREATE))


async def test_a_reign_ends_a_pause(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    replica.pause(None)
    last = await run(master, CREATE)
    await received(replica, last)
    await master.stop()
    await until(lambda: not replica.status().connected)

    await replica.promote(force=False)

    assert await count(replica) == 0
    assert not replica._parts.state.paused
    assert not replica.status().paused


async def test_a_paused_voter_keeps_the_log_and_votes_after_a_restart(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await written_by(nodes, CREATE)
    paused, other = (node for node in nodes if node is not master)
    paused.pause(None)
    await other.stop()

    async with restarted(paused) as again:
        await until(lambda: again.status().state is LinkState.PAUSED)
        before = again.status().applied_offset
        last = await run(master, INSERT)
        assert again.status().durable_offset >= last.offset
        assert again.status().applied_offset == before
        assert again.status().paused

        async with restarted(other) as third:
            await until(lambda: third.status().state is LinkState.STREAMING)
            await until(lambda: third.status().durable_offset >= last.offset)
            await master.stop()
            heir = await master_among([again, third])
            assert await count(heir) == 1
