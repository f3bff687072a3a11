"""One reign's archive: gaps, lost objects and failed snapshots are made good."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexus.config.settings import ArchiveSettings
from nexus.node.backup import carrying
from nexus.node.backup.carrying import ReignArchive
from node.archives import (
    INTERVAL_MS,
    archived,
    faulty,
    master_with,
    restored,
    status_of,
)
from node.builders import Crowd, run, until


async def test_an_object_that_the_store_loses_is_told_and_carried_again(
    crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "AUDIT_S", 0.1)
    node = await master_with(crowd, tmp_path / "arc")
    store = faulty(node, tmp_path)
    await archived(node)

    store.loses, store.truncates = 1, 1
    for number in range(6):
        await run(node, f"insert into t(v) values ({number})")
        await asyncio.sleep(2 * INTERVAL_MS / 1000)
    await until(lambda: not (store.loses or store.truncates))
    await until(lambda: node.events.counts["archive_lost"] > 0)

    await until(lambda: status_of(node).last_error == "")
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
    await archived(node)

    await until(lambda: status_of(node).snapshots == 2)
    rows = await asyncio.to_thread(restored, tmp_path / "faulty", tmp_path / "copy")
    assert len(rows) == 200


async def test_a_snapshot_that_fails_is_tried_again(
    crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles: list[str] = []

    def watched(work: ReignArchive, name: str, value: object) -> None:
        if name == "snapshots":
            troubles.append(work.snapshot_error)
        object.__setattr__(work, name, value)

    node = await master_with(crowd, tmp_path / "arc")
    store = faulty(node, tmp_path)
    await archived(node)
    assert node._parts.archiving is not None
    store.refuses_files = True

    node._parts.archiving.snapshot_now()
    await until(lambda: "no snapshot" in status_of(node).last_error)
    await run(node, "insert into t(v) values (1)")
    await archived(node)
    monkeypatch.setattr(ReignArchive, "__setattr__", watched)
    store.refuses_files = False

    await until(lambda: status_of(node).snapshots == 2)
    assert status_of(node).last_error == ""
    assert troubles == [""], "what is counted has no error any more"


@dataclass
class Clocks:
    """Stand in for `time`; both clocks can be moved, and tell how often they were."""

    wall_s: float = 0.0
    since_s: float = 0.0
    looks: int = 0

    def time(self) -> float:
        return time.time() + self.wall_s

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    def monotonic(self) -> float:
        self.looks += 1
        return time.monotonic() + self.since_s


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """What the archive of every node goes by."""
    clocks = Clocks()
    monkeypatch.setattr(carrying, "time", clocks)
    return clocks


async def test_a_snapshot_follows_after_the_interval_where_something_was_written(
    crowd: Crowd, tmp_path: Path, clocks: Clocks
) -> None:
    node = await master_with(crowd, tmp_path / "arc", archive__snapshot_interval="1h")
    await archived(node)
    await until(lambda: status_of(node).snapshots == 1)
    await run(node, "insert into t(v) values (1)")
    await archived(node)

    clocks.since_s += 3_601
    clocks.wall_s += 3_601
    await until(lambda: status_of(node).snapshots == 2)

    # Nobody has written since: the same snapshot is not made again and again.
    clocks.since_s += 3_601
    clocks.wall_s += 3_601
    looked = clocks.looks
    await until(lambda: clocks.looks > looked + 20)
    assert status_of(node).snapshots == 2


async def test_no_snapshot_waits_for_a_clock_that_was_ahead(
    crowd: Crowd, tmp_path: Path, clocks: Clocks
) -> None:
    arc = str(tmp_path / "arc")
    settings: dict[str, Any] = {
        "archive__interval_ms": INTERVAL_MS,
        "archive__snapshot_interval": "1h",
    }
    node = await crowd.node("m", archive__url=arc, **settings)
    await archived(node)
    await until(lambda: status_of(node).snapshots == 1)
    await node.stop()

    clocks.wall_s = -7_200  # as the node that wrote was two hours ahead
    again = await crowd.node("m", archive__url=arc, **settings)
    await archived(again)

    await until(lambda: status_of(again).snapshots == 1)
