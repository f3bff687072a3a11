"""What only a deposed node has is kept before a snapshot replaces it."""

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from nexus.errors import DiskFullError
from nexus.model.cluster import LinkState, Role
from nexus.node.node import Node
from nexus.storage.rewinding.diverged import DivergedStore, Divergence
from node.builders import Crowd, caught_up, run, until

CREATE = "create table t(id integer primary key, v)"
INSERT = "insert into t(v) values ('shared')"
ONLY_HERE = "insert into t(v) values ('only here')"
MIGRATE = "alter table t add column more"
LOG_ENTRIES = 8


async def deposed(
    crowd: Crowd, *only_here: str, drops: bool = False
) -> tuple[Node, Node]:
    """An old master with entries of its own follows a new one."""
    old = await crowd.node("old", replication__max_log_size=LOG_ENTRIES)
    new = await crowd.replica("new", old)
    await run(old, CREATE)
    last = await run(old, INSERT)
    await caught_up(new, last)
    old.pause(None)
    for statement in only_here:
        await run(old, statement)
    if drops:
        await until(lambda: old._parts.log.first_offset > last.offset + 1)
    await new.promote(force=True)
    await until(lambda: old.status().role is Role.REPLICA)
    return old, new


async def together(old: Node, new: Node) -> None:
    await until(lambda: old.status().state is LinkState.STREAMING)
    await caught_up(old, await run(new, INSERT))
    for node in (old, new):
        found = await run(node, "select distinct v from t")
        assert found.results[0].rows == [("shared",)]


def kept_rows(node: Node, found: Divergence) -> list[tuple[Any, ...]]:
    """What the kept copy of the database holds."""
    path = node._parts.storage.directory.diverged / found.copy
    with closing(
        apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    ) as connection:
        return connection.execute("select v, count(*) from t group by v").fetchall()


async def test_a_copy_is_kept_where_a_schema_statement_diverged(crowd: Crowd) -> None:
    old, new = await deposed(crowd, MIGRATE, ONLY_HERE)
    await together(old, new)

    (found,) = old.diverged.list()
    assert (found.entries, found.dropped) == (2, 0)
    assert kept_rows(old, found) == [("only here", 1), ("shared", 1)]


async def test_a_copy_has_the_entries_that_the_log_had_dropped(crowd: Crowd) -> None:
    count = 30 * LOG_ENTRIES
    old, new = await deposed(crowd, *[ONLY_HERE] * count, drops=True)
    await together(old, new)

    (found,) = old.diverged.list()
    assert found.dropped > 0
    assert found.dropped + found.entries == count
    assert len(list(old.diverged.rows(found.id))) == found.entries
    assert kept_rows(old, found) == [("only here", count), ("shared", 1)]


async def test_no_copy_is_made_of_what_is_rewound(crowd: Crowd) -> None:
    old, new = await deposed(crowd, ONLY_HERE)
    await together(old, new)

    (found,) = old.diverged.list()
    assert (found.entries, found.dropped, found.copy) == (1, 0, "")


async def test_a_full_sync_after_a_rewind_copies_nothing(crowd: Crowd) -> None:
    old, new = await deposed(crowd, ONLY_HERE)
    await together(old, new)
    old.database.writer.execute("update t set v = 'changed behind its back'")

    await run(new, "update t set v = v || '!'")
    await until(lambda: old.replica_stats().full_syncs == 1)
    # Not before: merged, the two updates change nothing and meet no conflict.
    await run(new, "update t set v = 'shared'")
    await together(old, new)

    assert [found.copy for found in old.diverged.list()] == [""]


async def test_nothing_is_replaced_while_there_is_no_room_for_the_copy(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [DiskFullError("no room for the copy")]
    real = DivergedStore.keep_copy

    def keep_copy(store: DivergedStore, *args: Any) -> Path:
        if left:
            raise left.pop()
        return real(store, *args)

    monkeypatch.setattr(DivergedStore, "keep_copy", keep_copy)
    old, new = await deposed(crowd, MIGRATE, ONLY_HERE)
    await until(lambda: "no room" in old.status().last_error)
    rows = (await run(old, "select v from t order by id")).results[0].rows
    assert rows == [("shared",), ("only here",)]

    await together(old, new)

    (found,) = old.diverged.list()
    assert kept_rows(old, found) == [("only here", 1), ("shared", 1)]
