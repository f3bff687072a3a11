"""A watcher has all of the cluster at once, and afterwards what has changed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from api.company import company
from api.fake_node import FakeNode
from nexus.api import lookout, watchers
from nexus.api.lookout import Lookout
from nexus.api.watchers import ClusterWatcher, EventWatcher
from nexus.model.token import TokenRole

Told = list[tuple[str, Any, str]]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "PERIOD_S", 0.0)
    monkeypatch.setattr(watchers, "PERIOD_S", 0.0)
    monkeypatch.setattr(watchers, "OWN_PERIOD_S", 0.001)


def told(piece: bytes | None) -> Told:
    """Name, data and id of each message."""
    assert piece is not None
    found = []
    for block in piece.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((lines["event"], json.loads(lines["data"]), lines.get("id", "")))
    return found


def names(piece: bytes | None) -> list[str]:
    return [name for name, _, _ in told(piece)]


async def test_first_comes_the_cluster_then_what_changes(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        watcher = ClusterWatcher(Lookout(both.master))
        first, second = await watcher.read(), await watcher.read()
        still = await watcher.read()
        both.replica.current = replace(both.replica.current, lag=77)
        third = await watcher.read()
        await both.replica_server.stop()
        both.master.replica_id, both.master.replica_url = "n1", ""
        fourth = await watcher.read()

    assert names(first) == ["cluster"]
    assert told(first)[0][1]["seen_by"] == "n1"
    assert names(second) == ["node", "node", "looked"]
    assert names(still) == ["looked"]
    ((_, node, _), _) = told(third)
    assert node["figures"]["status"]["lag"] == 77
    assert ("gone", "r1", "") in told(fourth)


async def test_a_watcher_is_told_what_it_may_do(node: FakeNode) -> None:
    watcher = ClusterWatcher(Lookout(node), may=TokenRole.READ)

    assert told(await watcher.read())[0][1]["may"] == "read"


async def test_events_have_ids_behind_which_a_watcher_resumes(node: FakeNode) -> None:
    seen_from = Lookout(node)
    node.replica_id = "n1"
    node.events.info("paused", "")
    watcher = ClusterWatcher(seen_from)
    await watcher.read()
    node.events.info("resumed", "")
    happened = [one for one in told(await watcher.read()) if one[0] == "happened"]

    again = ClusterWatcher(seen_from, happened[-1][2])
    node.events.info("voted", "")
    first, second = await again.read(), await again.read()

    assert [one[1]["event"]["kind"] for one in happened] == ["resumed"]
    assert names(first) == ["cluster"]
    assert [
        data["event"]["kind"] for name, data, _ in told(second) if name == "happened"
    ] == ["voted"]


@pytest.mark.parametrize("last_id", ["", "other-1", "{}-x", "{}-" + "1" * 30, "{}-²"])
async def test_whoever_comes_with_another_id_is_told_everything(
    node: FakeNode, last_id: str
) -> None:
    seen_from = Lookout(node)
    node.events.info("paused", "")

    watcher = ClusterWatcher(seen_from, last_id.format(seen_from.name))

    assert names(await watcher.read()) == ["cluster", "happened"]


async def test_a_slow_watcher_is_sent_the_newest_state_alone(node: FakeNode) -> None:
    node.replica_id = "n1"
    watcher = ClusterWatcher(Lookout(node))
    await watcher.read()
    for epoch in range(3, 9):
        node.current = replace(node.current, epoch=epoch)

    ((_, shown, _), _) = told(await watcher.read())

    assert shown["figures"]["status"]["epoch"] == 8


async def test_a_node_tells_its_events_and_those_to_come(node: FakeNode) -> None:
    node.events.info("paused", "")
    watcher = EventWatcher(node.events, 0)
    first = await watcher.read()
    coming = asyncio.ensure_future(watcher.read())
    await asyncio.sleep(0.01)
    node.events.info("resumed", "")

    assert [data["kind"] for _, data, _ in told(first)] == ["paused"]
    assert [data["kind"] for _, data, _ in told(await coming)] == ["resumed"]
    assert told(first)[0][2] == str(node.events.since(0)[0].id)


async def test_where_nothing_happens_the_connection_shows_life(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "HEARTBEAT_S", 0.005)

    assert await EventWatcher(node.events, 0).read() == b": nothing new\n\n"
