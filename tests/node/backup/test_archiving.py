"""A node archives what it commits while it reigns, and nothing waits for that."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from nexus.archive.restoring import Moment
from nexus.errors import ArchiveError, WrongRoleError
from node.archives import (
    INTERVAL_MS,
    archived,
    faulty,
    master_with,
    restored,
    status_of,
)
from node.builders import Crowd, address_of, caught_up, run, until


async def test_what_a_master_commits_can_be_restored(
    crowd: Crowd, tmp_path: Path
) -> None:
    node = await master_with(crowd, tmp_path / "arc")
    for number in range(20):
        await run(node, f"insert into t(v) values ({number})")

    status = await archived(node)

    assert (status.lag, status.lag_seconds, status.last_error) == (0, 0.0, "")
    assert status.url == str(tmp_path / "arc")
    await until(lambda: status_of(node).snapshots == 1)
    rows = await asyncio.to_thread(restored, tmp_path / "arc", tmp_path / "copy")
    assert [v for _, v in rows] == list(range(20))


async def test_a_sandbox_that_forbids_priorities_stops_no_archive(
    crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(os, "nice", refuse)
    node = await master_with(crowd, tmp_path / "arc")
    await run(node, "insert into t(v) values (1)")

    assert (await archived(node)).last_error == ""


async def test_a_replica_archives_nothing_and_says_so(
    crowd: Crowd, tmp_path: Path
) -> None:
    master = await master_with(crowd, tmp_path / "arc")
    replica = await crowd.replica("r", master, archive__url=str(tmp_path / "other"))
    await run(master, "insert into t(v) values (1)")
    await archived(master)

    assert replica.status().archive is None
    with pytest.raises(WrongRoleError, match="ask the master at http"):
        replica.archive_now()
    assert not (tmp_path / "other").exists()


async def test_a_master_without_an_archive_says_what_to_set(crowd: Crowd) -> None:
    node = await crowd.node("m", "master")

    with pytest.raises(WrongRoleError, match=r"archive\.url is not set"):
        node.archive_now()


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
    await until(lambda: not new.status().connected)

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


async def test_an_archive_that_was_never_reached_tells_for_how_long(
    crowd: Crowd, tmp_path: Path
) -> None:
    (tmp_path / "arc").write_text("no directory")

    node = await master_with(crowd, tmp_path / "arc")

    await until(lambda: "is no directory" in status_of(node).last_error)
    status = status_of(node)
    assert (status.offset, status.last_success) == (0, 0.0)
    assert status.lag > 0
    assert status.lag_seconds > 0


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
