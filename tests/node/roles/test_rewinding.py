"""A deposed node in this process goes back to the fork and follows, or syncs anew."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nexus.errors import DiskFullError, StorageError
from nexus.model.cluster import LinkState, Role
from nexus.node.node import Node
from nexus.node.roles import rewinding
from nexus.node.telemetry import shortage
from nexus.storage.fingerprint import Fingerprints, fingerprint
from nexus.storage.rewinding.rewind import rewind
from node.builders import Crowd, caught_up, count, locked_elsewhere, run, until

CREATE = "create table t(id integer primary key, v)"
INSERT = "insert into t(v) values ('x')"
ONLY_HERE = 5


async def parted(crowd: Crowd, *only_here: str) -> tuple[Node, Node]:
    """An old master with entries of its own, and the new one that does not stream."""
    old = await crowd.node("old")
    new = await crowd.replica("new", old)
    await run(old, CREATE)
    await caught_up(new, await run(old, INSERT))
    old.pause(None)
    for statement in only_here:
        await run(old, statement)
    for _ in range(ONLY_HERE):
        await run(old, "insert into t(v) values ('only here')")
    return old, new


async def deposed(old: Node, new: Node) -> None:
    """The new master reigns, and the old one has become its replica."""
    await new.promote(force=True)
    await until(lambda: old.status().role is Role.REPLICA)


async def together(old: Node, new: Node) -> None:
    """The old master has all that the new one has, and nothing more."""
    await until(lambda: old.status().state is LinkState.STREAMING)
    await caught_up(old, await run(new, INSERT))
    rows = [
        (await run(node, "select * from t order by id")).results[0].rows
        for node in (old, new)
    ]
    assert rows[0] == rows[1]
    assert ("only here",) not in rows[0]


async def test_a_deposed_master_is_rewound_and_not_copied(crowd: Crowd) -> None:
    old, new = await parted(crowd)
    await deposed(old, new)
    await together(old, new)

    stats = old.replica_stats()
    assert (stats.rewinds, stats.full_syncs) == (1, 0)
    assert old.status().state is LinkState.STREAMING
    assert [kept.entries for kept in old.diverged.list()] == [ONLY_HERE]
    assert new.replicas()[0].state is LinkState.STREAMING


async def test_a_schema_statement_that_only_the_old_master_has_needs_a_full_sync(
    crowd: Crowd,
) -> None:
    old, new = await parted(crowd, "alter table t add column more")
    await deposed(old, new)
    await together(old, new)

    stats = old.replica_stats()
    assert (stats.rewinds, stats.full_syncs) == (0, 1)
    assert [kept.entries for kept in old.diverged.list()] == [ONLY_HERE + 1]


async def test_a_rewind_waits_while_another_process_holds_the_database(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewinding, "BUSY_RETRY_S", 0.01)
    old, new = await parted(crowd)
    old.database.writer.set_busy_timeout(10)
    with locked_elsewhere(old.database.path):
        await deposed(old, new)
        await until(lambda: old.status().state is LinkState.REWINDING)
        await asyncio.sleep(0.1)
        assert old.status().state is LinkState.REWINDING

    await together(old, new)
    assert old.replica_stats().rewinds == 1


def failing(times: int, error: Exception) -> Callable[..., None]:
    """A rewind that raises at first."""
    left = [error] * times
    real = rewind

    def work(*parts: Any) -> None:
        if left:
            raise left.pop()
        real(*parts)

    return work


async def test_a_rewind_that_finds_no_space_is_done_when_there_is_some(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortage, "SPACE_RETRY_S", 0.01)
    monkeypatch.setattr(rewinding, "rewind", failing(2, DiskFullError("full")))
    old, new = await parted(crowd)
    await deposed(old, new)
    await together(old, new)

    assert old.replica_stats().rewinds == 1


async def test_a_rewind_that_may_have_half_happened_stops_the_node(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewinding, "rewind", failing(1, StorageError("no sync")))
    old, new = await parted(crowd)
    await deposed(old, new)

    await until(lambda: "no sync" in old.ready(None)[1])
    assert await count(old) == 1 + ONLY_HERE


async def test_nodes_that_depose_each_other_again_and_again_stay_equal(
    crowd: Crowd,
) -> None:
    master, other = await parted(crowd, "insert into t(v) values ('only here too')")
    master.resume(None)
    await run(master, "create virtual table f using fts5(body)")
    await run(
        master, "create table n(id integer primary key autoincrement, v not null)"
    )
    await caught_up(other, await run(master, "insert into f values ('from the start')"))
    for turn in range(5):
        await run(master, f"insert into f values ('both have this of turn {turn}')")
        await caught_up(other, await run(master, f"insert into n(v) values ({turn})"))
        master.pause(None)
        for number in range(ONLY_HERE):
            await run(
                master,
                f"insert into f values ('only here {turn} {number}')",
                "delete from f where rowid = 1",
                "insert into n(v) select v from n",
            )
        await other.promote(force=True)
        await until(lambda: master.status().role is Role.REPLICA)  # noqa: B023
        await until(lambda: master.status().state is LinkState.STREAMING)  # noqa: B023
        master, other = other, master
        await caught_up(other, await run(master, "insert into f values ('a reign')"))
        assert content(other) == content(master)
        assert other.replica_stats().rewinds == 1

    await run(master, "insert into f(f, rank) values ('integrity-check', 1)")
    assert await count(master, "n") == await count(other, "n") == 5
    assert await count(other, "f") == 1 + 2 * 5


def content(node: Node) -> Fingerprints:
    """The hashes of all tables, as a reader sees them."""
    with node.database.reader() as reader:
        return fingerprint(reader)
