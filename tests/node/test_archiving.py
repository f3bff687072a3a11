"""A node archives what it commits while it reigns, and nothing waits for that."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from archive.faulty import FaultyStore
from archive.keeping import MAX_SIZE, rows_in
from nexus.archive.directory import DirectoryStore
from nexus.archive.restoring import Moment, restore
from nexus.config.settings import ArchiveSettings
from nexus.errors import ArchiveError
from nexus.model.cluster import ArchiveStatus
from nexus.node import archiving
from nexus.node.archiving import Archiving
from nexus.node.node import Node
from node.builders import Crowd, address_of, caught_up, run, until

INTERVAL_MS = 40


async def archived(node: Node) -> ArchiveStatus:
    """Its status, once everything that it has committed is archived."""

    def is_whole() -> bool:
        status = node.status()
        archive = status.archive
        return archive is not None and archive.offset == status.applied_offset

    await until(is_whole)
    status = node.status().archive
    assert status is not None
    return status


def status_of(node: Node) -> ArchiveStatus:
    """Its archive's status, which it has."""
    status = node.status().archive
    assert status is not None
    return status


async def master_with(crowd: Crowd, url: object, name: str = "m", **flags: Any) -> Node:
    """A master that archives there, with a table."""
    flags.setdefault("archive__interval_ms", INTERVAL_MS)
    node = await crowd.node(name, archive__url=str(url), **flags)
    await run(node, "create table t(id integer primary key, v)")
    await until(lambda: node.status().archive is not None)
    return node


def restored(archive: Path, target: Path, moment: Moment | None = None) -> list[Any]:
    """The rows of a moment in an archive."""
    restore(DirectoryStore(archive), target, moment or Moment(), max_size=MAX_SIZE)
    return rows_in(target)


async def test_what_a_master_commits_can_be_restored(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await master_with(crowd, tmp_path / "arc")
    for number in range(20):
        await run(node, f"insert into t(v) values ({number})")

    status = await archived(node)

    assert (status.lag, status.lag_seconds, status.last_error) == (0, 0.0, "")
    assert status.url == str(tmp_path / "arc")
    assert status.snapshots == 1
    rows = await asyncio.to_thread(restored, tmp_path / "arc", tmp_path / "copy")
    assert [v for _, v in rows] == list(range(20))


async def test_a_replica_archives_nothing_and_says_so(
    crowd: Crowd, tmp_path: Path
) -> None:
    master = await master_with(crowd, tmp_path / "arc")
    replica = await crowd.replica("r", master, archive__url=str(tmp_path / "other"))
    await run(master, "insert into t(v) values (1)")
    await archived(master)

    assert replica.status().archive is None
    assert not (tmp_path / "other").exists()


async def test_a_clean_stop_archives_the_last_commit(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await master_with(crowd, tmp_path / "arc", archive__interval_ms=4_000)
    await archived(node)
    await run(node, "insert into t(v) values (7)")

    await node.stop()

    rows = await asyncio.to_thread(restored, tmp_path / "arc", tmp_path / "copy")
    assert rows == [(1, 7)]


async def test_a_promoted_replica_goes_on_where_the_master_stopped(
    crowd: Crowd, tmp_path: Path
) -> None:
    arc = tmp_path / "arc"
    old = await master_with(crowd, arc)
    new = await crowd.replica(
        "r", old, archive__url=str(arc), archive__interval_ms=INTERVAL_MS
    )
    before = await run(old, "insert into t(v) values ('old')")
    await archived(old)
    await caught_up(new, before)
    await old.stop()

    await new.promote(force=False)
    await run(new, "insert into t(v) values ('new')")
    status = await archived(new)

    assert status.snapshots == 0
    assert len(list(arc.rglob("*.snapshot"))) == 1
    rows = await asyncio.to_thread(restored, arc, tmp_path / "copy")
    assert [v for _, v in rows] == ["old", "new"]


async def test_two_masters_at_once_keep_their_archives_apart(
    crowd: Crowd, tmp_path: Path
) -> None:
    arc = tmp_path / "arc"
    old = await master_with(crowd, arc)
    replica = await crowd.replica("r", old)
    await caught_up(replica, await run(old, "insert into t(v) values ('both')"))
    await archived(old)
    await replica.stop()
    new = await crowd.node(
        "r", "standalone", archive__url=str(arc), archive__interval_ms=INTERVAL_MS
    )
    for number in range(3):
        await run(old, f"insert into t(v) values ('old {number}')")
        await run(new, f"insert into t(v) values ('new {number}')")
    await archived(old)
    await until(lambda: new.status().archive is not None)
    await archived(new)

    rows = await asyncio.to_thread(restored, arc, tmp_path / "newest")
    assert [v for _, v in rows] == ["both", "new 0", "new 1", "new 2"]
    moment = Moment(history_id=old.history().history_id)
    rows = await asyncio.to_thread(restored, arc, tmp_path / "other", moment)
    assert [v for _, v in rows] == ["both", "old 0", "old 1", "old 2"]


async def test_a_url_that_names_no_archive_stops_the_start(
    crowd: Crowd, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="names no bucket"):
        await crowd.node("m", archive__url="s3://")

    again = await crowd.node("m", archive__url=str(tmp_path / "arc"))
    assert again.status().running


def faulty(node: Node, tmp_path: Path) -> FaultyStore:
    """The node's archive, from now on in a store that fails as it is told."""
    parts = node._parts
    assert parts.archiving is not None
    store = FaultyStore(DirectoryStore(tmp_path / "faulty"))
    parts.archiving.close()
    replaced = Archiving(
        store, parts.archiving._source, ArchiveSettings(interval_ms=INTERVAL_MS)
    )
    object.__setattr__(parts, "archiving", replaced)
    return store


async def test_commits_go_on_while_the_store_refuses_and_the_archive_catches_up(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await master_with(crowd, tmp_path / "arc")
    store = faulty(node, tmp_path)
    await until(lambda: node.status().archive is not None)
    await archived(node)

    store.refuses = True
    for number in range(30):
        await run(node, f"insert into t(v) values ({number})")
    await until(lambda: "refuses" in status_of(node).last_error)
    status = status_of(node)
    assert status.lag > 0
    assert status.lag_seconds > 0
    store.refuses = False

    status = await archived(node)
    await until(lambda: status_of(node).last_error == "")
    rows = await asyncio.to_thread(restored, tmp_path / "faulty", tmp_path / "copy")
    assert len(rows) == 30


async def test_a_store_that_hangs_holds_up_nobody(crowd: Crowd, tmp_path: Path) -> None:
    node = await master_with(crowd, tmp_path / "arc")
    store = faulty(node, tmp_path)
    await archived(node)

    with store.hanging():
        for number in range(20):
            await run(node, f"insert into t(v) values ({number})")
        assert status_of(node).lag > 0

    await archived(node)
    rows = await asyncio.to_thread(restored, tmp_path / "faulty", tmp_path / "copy")
    assert len(rows) == 20


async def test_an_object_that_the_store_loses_is_told_and_carried_again(
    crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "AUDIT_S", 0.1)
    node = await master_with(crowd, tmp_path / "arc")
    store = faulty(node, tmp_path)
    await archived(node)

    store.loses, store.truncates = 1, 1
    for number in range(6):
        await run(node, f"insert into t(v) values ({number})")
        await asyncio.sleep(2 * INTERVAL_MS / 1000)
    await until(lambda: not (store.loses or store.truncates))
    await until(lambda: "has lost" in status_of(node).last_error)

    await archived(node)
    rows = await asyncio.to_thread(restored, tmp_path / "faulty", tmp_path / "copy")
    assert len(rows) == 6


async def test_the_log_keeps_what_is_not_archived_up_to_its_limit(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await master_with(crowd, tmp_path / "arc", replication__max_log_size=40)
    store = faulty(node, tmp_path)
    await archived(node)
    parts = node._parts
    store.refuses = True
    first = parts.log.last_offset
    for number in range(200):
        await run(node, f"insert into t(v) values ({number})")
    await asyncio.sleep(0.3)
    assert parts.log.first_offset <= first + 1
    assert parts.archiving is not None

    # The limit is reached: the log is shortened, and a snapshot closes the gap.
    parts.archiving._settings = ArchiveSettings(interval_ms=INTERVAL_MS, hold_size=1)
    await until(lambda: parts.log.first_offset > first + 1)
    store.refuses = False
    status = await archived(node)

    assert status.snapshots == 2
    rows = await asyncio.to_thread(restored, tmp_path / "faulty", tmp_path / "copy")
    assert len(rows) == 200


async def test_a_snapshot_that_fails_is_tried_again(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await master_with(crowd, tmp_path / "arc")
    store = faulty(node, tmp_path)
    await archived(node)
    assert node._parts.archiving is not None
    store.refuses_files = True

    node._parts.archiving.snapshot_now()
    await until(lambda: "no snapshot" in status_of(node).last_error)
    await run(node, "insert into t(v) values (1)")
    await archived(node)
    store.refuses_files = False

    await until(lambda: status_of(node).snapshots == 2)
    assert status_of(node).last_error == ""


async def test_a_fault_of_our_own_is_told_and_stops_nothing(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await master_with(crowd, tmp_path / "arc")
    store = faulty(node, tmp_path)
    await archived(node)

    store.breaks = True
    await run(node, "insert into t(v) values (1)")
    await until(lambda: "ZeroDivisionError" in status_of(node).last_error)
    store.breaks = False

    await archived(node)


async def test_a_node_that_comes_to_follow_archives_no_more(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await master_with(crowd, tmp_path / "arc")
    await archived(node)
    other = await crowd.node("o")

    await node.start_replication(node.status().role.REPLICA, address_of(other))

    await until(lambda: node.status().archive is None)
    assert node._parts.archiving is not None
    assert node._parts.archive_floor() == node._parts.log.last_offset + 1
