"""Ticks and retention, whatever the role."""

import asyncio
from dataclasses import replace
from pathlib import Path

from nexus.node.pulse import keep_time
from node.builders import Crowd, caught_up, run, settings, until

LOG_SIZE = 40


async def test_logs_are_kept_short_on_a_master_alone_and_on_its_replica(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master", replication__max_log_size=LOG_SIZE)
    last = await run(master, "create table t(id integer primary key, v)")
    for _ in range(4 * LOG_SIZE):
        await run(master, "insert into t(v) values (1)")
    await until(lambda: master.master_stats().log_size <= 2 * LOG_SIZE)

    replica = await crowd.replica("replica", master, replication__max_log_size=LOG_SIZE)
    for _ in range(4 * LOG_SIZE):
        last = await run(master, "insert into t(v) values (1)")
    await caught_up(replica, last)
    await until(lambda: master.master_stats().log_size <= 2 * LOG_SIZE)
    await until(lambda: replica._parts.log.entry_count <= 2 * LOG_SIZE)


async def test_a_retention_that_lasts_holds_up_no_tick_and_is_not_begun_twice(
    crowd: Crowd, tmp_path: Path
) -> None:
    class Slow:
        ticks = 0
        begun = 0
        cancelled = False

        def tick(self) -> None:
            self.ticks += 1

        async def retain(self) -> None:
            self.begun += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True

    duty = Slow()
    node = await crowd.node("master")
    await run(node, "create table t(v)")
    parts = replace(node._parts, config=settings(tmp_path, replication__max_log_size=1))
    pulse = asyncio.create_task(keep_time(parts, lambda: duty))
    await until(lambda: duty.ticks > 5)
    assert duty.begun == 1
    pulse.cancel()
    await until(lambda: duty.cancelled)
    assert pulse.cancelled()


async def test_between_two_roles_nothing_ticks(crowd: Crowd) -> None:
    node = await crowd.node("master")
    asked = 0

    def nobody() -> None:
        nonlocal asked
        asked += 1

    pulse = asyncio.create_task(keep_time(node._parts, nobody))
    await until(lambda: asked > 2)
    pulse.cancel()
