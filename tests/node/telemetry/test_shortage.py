"""A full disk is told of when it begins, and when it has ended."""

import pytest
from typing_extensions import override

from nexus.errors import DiskFullError
from nexus.node.telemetry import shortage
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.shortage import Shortage


def kinds(events: EventLog) -> list[str]:
    return [event.kind for event in events.since(0)]


def test_each_shortage_is_told_once_and_so_is_its_end() -> None:
    events = EventLog()
    space = Shortage(events)

    space.ends()
    for _ in range(3):
        space.begins(DiskFullError("no room"))
    assert space.reason == "no room"
    assert space.stops_all
    for _ in range(3):
        space.ends()

    assert kinds(events) == ["disk_full", "disk_has_space"]
    assert space.reason == ""
    assert not space.stops_all


def test_its_end_is_told_before_the_reason_is_gone() -> None:
    """Whoever sees in another thread that it has ended finds the event."""
    seen: list[str] = []

    class Watched(EventLog):
        @override
        def info(self, kind: str, detail: str) -> None:
            seen.append(space.reason)

    space = Shortage(Watched())
    space.begins(DiskFullError("no room"))
    space.ends()

    assert seen == ["no room"]
    assert space.reason == ""


def test_a_small_write_that_finds_room_does_not_end_it_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = EventLog()
    space = Shortage(events)

    for _ in range(3):
        space.begins(DiskFullError("no room"))
        space.settles()
    assert kinds(events) == ["disk_full"]
    assert space.reason
    assert not space.stops_all

    monkeypatch.setattr(shortage, "SETTLE_S", 0.0)
    space.settles()
    space.settles()
    assert kinds(events) == ["disk_full", "disk_has_space"]


async def test_work_that_finds_no_space_is_done_when_there_is_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shortage, "SPACE_RETRY_S", 0.0)
    events = EventLog()
    left = [DiskFullError("no room")] * 3

    async def work() -> None:
        if left:
            raise left.pop()

    await Shortage(events).outlast(work, unless=lambda: False)

    assert kinds(events) == ["disk_full", "disk_has_space"]


async def test_work_that_cannot_be_done_again_raises() -> None:
    events = EventLog()

    async def work() -> None:
        raise DiskFullError("no room")

    with pytest.raises(DiskFullError):
        await Shortage(events).outlast(work, unless=lambda: True)
    assert kinds(events) == []
