"""A snapshot that cannot be used is told to the machine, which asks anew."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nexus.errors import DatabaseBusyError, DiskFullError
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position
from nexus.node.roles import intake as intake_module
from nexus.node.roles.installing import install_snapshot
from nexus.node.roles.intake import IntakeHooks, SnapshotIntake
from nexus.node.roles.rescue import Rescue
from nexus.protocol.messages import SnapshotChunk, SnapshotMeta
from nexus.replication.effects import Install, ReceiveSnapshot, StoreChunk
from nexus.storage.database import Database
from nexus.storage.rewinding.diverged import DivergedStore
from node.builders import Crowd, caught_up, count, crowd_in, run, until
from node.roles.test_rescue import MIGRATE, deposed, together
from node.test_hard_case_14 import imported, made, place

POSITION = Position(Epoch(1), Offset(5), HistoryId("h"))
META = SnapshotMeta("s", 10, 2, 0, POSITION)


class Heard:
    """What the follower was told."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def installed(self, position: Position, history: EpochHistory) -> None:
        raise AssertionError(f"nothing can be installed: {position}, {history}")

    def install_failed(self, reason: str) -> None:
        self.failures.append(reason)

    def waits(self, reason: str) -> None:
        self.failures.append(reason)


async def test_what_cannot_go_on_is_damaged_or_incomplete_fails_and_changes_nothing(
    tmp_path: Path,
) -> None:
    async with crowd_in(tmp_path) as crowd:
        node = await crowd.node("n")

        async def here(call: Callable[[], Any]) -> Any:
            return call()

        on_worker: Callable[[Callable[[], Any]], Awaitable[Any]] = here
        heard = Heard()
        failures = heard.failures
        hooks = IntakeHooks(on_worker, lambda: None, lambda: heard)
        intake = SnapshotIntake(node._parts, Rescue(node._parts), hooks)
        before = node.database.position
        await intake.receive(ReceiveSnapshot(META, 1))
        assert "cannot go on at chunk 1" in failures[-1]
        await intake.store(StoreChunk(SnapshotChunk("s", 0, b"damaged", 0)))
        assert len(failures) == 2
        await intake.install(Install("s", POSITION))
        assert len(failures) == 3
        assert node.database.position == before


# --- In the database --------------------------------------------------------------

INSERT = "insert into t(v) values ('x')"
ROWS = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)\
 insert into t(v) select hex(randomblob(50)) from n"


def busy(times: int) -> Callable[..., Position]:
    """Installs when others have been in the way so often."""
    left = [times]
    install = install_snapshot

    def install_later(*arguments: Any, **options: Any) -> Position:
        if left[0]:
            left[0] -= 1
            raise DatabaseBusyError("others are in the way")
        return install(*arguments, **options)

    return install_later


async def test_the_wal_is_short_again_when_the_rows_have_come(
    crowd: Crowd, tmp_path: Path
) -> None:
    imported(tmp_path / "master", 4096, "UTF-8")
    made(tmp_path / "replica", 4096, "UTF-8")
    master = await crowd.node("master")
    await run(master, ROWS)
    replica = await crowd.replica("replica", master)
    wal = place(tmp_path / "replica").with_name("nexus.db-wal")

    await until(lambda: wal.stat().st_size < 50_000)
    assert replica.replica_stats().full_syncs == 1
    assert await count(replica) == 5001
    await caught_up(replica, await run(master, INSERT))


async def test_a_wal_that_cannot_be_shortened_does_not_undo_an_install(
    crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def no_room(database: Database) -> bool:
        tried.append(database)
        raise DiskFullError("no room to move the pages")

    monkeypatch.setattr(Database, "empty_wal", no_room)
    imported(tmp_path / "master", 4096, "UTF-8")
    made(tmp_path / "replica", 4096, "UTF-8")
    _, replica = await crowd.followed(INSERT)

    assert len(tried) == 1
    assert replica.status().running
    assert await count(replica) == 2


async def test_what_only_this_node_has_is_kept_once_however_long_it_waits(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    keep_copy = DivergedStore.keep_copy

    def noted(store: DivergedStore, *arguments: Any) -> Path:
        kept.append(arguments)
        return keep_copy(store, *arguments)

    monkeypatch.setattr(DivergedStore, "keep_copy", noted)
    monkeypatch.setattr(intake_module, "BUSY_RETRY_S", 0.02)
    monkeypatch.setattr(intake_module, "install_snapshot", busy(3))
    old, new = await deposed(crowd, MIGRATE)

    await together(old, new)

    assert len(kept) == 1
    assert old.replica_stats().full_syncs == 1
