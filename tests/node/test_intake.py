"""A snapshot that cannot be used is told to the machine, which asks anew."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.node.intake import IntakeHooks, SnapshotIntake
from nexus.protocol.messages import SnapshotChunk, SnapshotMeta
from nexus.replication.effects import Install, ReceiveSnapshot, StoreChunk
from node.builders import crowd_in

POSITION = Position(Epoch(1), Offset(5), HistoryId("h"))
META = SnapshotMeta("s", 10, 2, 0, POSITION)


async def test_what_cannot_go_on_is_damaged_or_incomplete_fails_and_changes_nothing(
    tmp_path: Path,
) -> None:
    async with crowd_in(tmp_path) as crowd:
        node = await crowd.node("n")
        failures: list[str] = []
        installed: list[Position] = []

        async def here(call: Callable[[], Any]) -> Any:
            return call()

        on_worker: Callable[[Callable[[], Any]], Awaitable[Any]] = here
        intake = SnapshotIntake(
            node._parts,
            IntakeHooks(
                on_worker,
                lambda: None,
                installed.append,
                failures.append,
                failures.append,
            ),
        )
        before = node.database.position
        await intake.receive(ReceiveSnapshot(META, 1))
        assert "cannot go on at chunk 1" in failures[-1]
        await intake.store(StoreChunk(SnapshotChunk("s", 0, b"damaged", 0)))
        assert len(failures) == 2
        await intake.install(Install("s", POSITION))
        assert len(failures) == 3
        assert installed == []
        assert node.database.position == before
