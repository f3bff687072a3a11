"""What the demonstration shows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from cli.fake_nodes import FakeNode, joined, node_status
from nexus.cli.demo.processes import NodeProcess
from nexus.cli.demo.seller import Shop
from nexus.cli.demo.view import Rate, View

Start = Callable[[], FakeNode]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(FakeNode())


def process_at(node: FakeNode, name: str, root: Path) -> NodeProcess:
    process = NodeProcess(name, root, master=None)
    process.http_addr = node.address
    return process


def drawn(view: View) -> str:
    console = Console(width=100, record=True, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        console.print(view.draw())
    return capture.get()


def test_every_node_is_a_row_within_100_columns(start: Start, tmp_path: Path) -> None:
    master, replica = start(), start()
    joined(master, replica)
    replica.on(
        "GET /replication/status",
        node_status("replica", applied_offset=1000, lag=200, lag_seconds=0.25),
    )
    shop = Shop(master.url, customers=1, tracks=1)
    nodes = [
        process_at(master, "master", tmp_path),
        process_at(replica, "replica-1", tmp_path),
    ]
    view = View(nodes, shop)

    view.refresh()
    text = drawn(view)
    view.close()

    rows = [line.split() for line in text.splitlines() if "127.0.0.1" in line]
    assert rows[0] == ["master", "master", "1,200", "0/s", master.url]
    assert rows[1] == [
        *["replica-1", "streaming", "1,000", "200", "0.25", "s", "0/s"],
        replica.url,
    ]


def test_a_dead_node_is_shown_as_killed_and_behind(tmp_path: Path) -> None:
    with FakeNode() as gone:
        pass
    shop = Shop("http://127.0.0.1:1", customers=1, tracks=1)
    view = View([process_at(gone, "replica-1", tmp_path)], shop)

    view.refresh()
    text = drawn(view)
    view.close()

    assert "killed" in text
    assert view.behind() == ["replica-1"]


def test_news_stand_under_the_table() -> None:
    view = View([], Shop("http://127.0.0.1:1", customers=1, tracks=1))
    view.event = "something happened"

    assert drawn(view).rstrip().endswith("something happened")


def test_a_rate_is_per_second_and_smoothed() -> None:
    rate = Rate()

    rate.measure(100, 1.0)
    assert rate.per_second == 0
    rate.measure(200, 2.0)
    assert rate.per_second == 50
    rate.measure(50, 3.0)
    assert rate.per_second == 25
