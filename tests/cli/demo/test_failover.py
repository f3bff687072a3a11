"""The timeline of a failover, as nodes that answer by script have it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.fake_nodes import FakeNode, node_status
from nexus.cli.demo import failover
from nexus.cli.demo.failover import Timeline, kill_the_master, master_of
from nexus.cli.demo.processes import NodeProcess
from nexus.cli.demo.seller import Shop
from nexus.cli.demo.view import View
from nexus.cli.outcome import NotDoneError


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[tuple[FakeNode, NodeProcess]]]:
    with ExitStack() as stack:
        made = []
        for name in ("node-1", "node-2"):
            fake = stack.enter_context(FakeNode())
            process = NodeProcess(name, tmp_path, master=None)
            process.http_addr = fake.address
            made.append((fake, process))
        yield made


def test_the_steps_come_in_their_order(
    nodes: list[tuple[FakeNode, NodeProcess]],
) -> None:
    (old, _), (new, _) = nodes
    asked = iter([{"connected": True}, {"connected": False}])

    def successor(_: object) -> tuple[int, object]:
        step = next(asked, None)
        if step is None:
            return 200, node_status("master", epoch=4)
        return 200, node_status("replica", **step)

    old.on("GET /replication/status", node_status("master", epoch=3))
    new.on("GET /replication/status", successor)
    new.on("POST /sql", {"offset": 9, "results": [{"last_insert_rowid": 413}]})
    processes = [process for _, process in nodes]
    shop = Shop(new.url, customers=59, tracks=3503)
    view = View(processes, shop)

    with shop.open():
        happened = kill_the_master(processes, shop, view)
    view.close()

    assert (happened.killed, happened.elected, happened.epoch) == (
        "node-1",
        "node-2",
        4,
    )
    assert 0 < happened.detected_s <= happened.elected_s <= happened.first_write_s


def test_without_a_successor_it_says_so(
    nodes: list[tuple[FakeNode, NodeProcess]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "FAILOVER_TIMEOUT_S", 0.05)
    (old, _), (new, _) = nodes
    old.on("GET /replication/status", node_status("master"))
    new.on("GET /replication/status", node_status("replica", connected=False))
    processes = [process for _, process in nodes]
    shop = Shop(new.url, customers=59, tracks=3503)
    view = View(processes, shop)

    with pytest.raises(NotDoneError, match="no other node was elected"):
        kill_the_master(processes, shop, view)
    with pytest.raises(NotDoneError, match="no node is the master"):
        master_of(processes[1:], view)
    view.close()


def test_a_timeline_is_told_in_milliseconds() -> None:
    told = Timeline("a", "b", 0.0012, 0.5004, 0.6, 7).document()
    assert (told["detected_seconds"], told["elected_seconds"]) == (0.001, 0.5)
