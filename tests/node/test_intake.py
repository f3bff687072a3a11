"""A snapshot that cannot be used is told to the machine, which asks anew."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.node.intake import IntakeHooks, SnapshotIntake
from nexus.node.rescue import Rescue
from nexus.protocol.messages import SnapshotChunk, SnapshotMeta
from nexus.replication.effects import Install, ReceiveSnapshot, StoreChunk
from node.builders import crowd_in

POSITION = Position(Epoch(1), Offset(5), HistoryId("h"))
META = SnapshotMeta("s", 10, 2, 0, POSITION)


class Heard:
    """What the follower was told."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def installed(self, position: Position) -> None:
        raise AssertionError(f"nothing can be installed, least of all {position}")

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
