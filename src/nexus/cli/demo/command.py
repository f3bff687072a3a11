"""The command `nexus demo`."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.live import Live

from nexus.cli.demo.once import print_summary, run_once
from nexus.cli.demo.processes import NodeProcess, running_cluster
from nexus.cli.demo.seller import chinook_shop
from nexus.cli.demo.view import View
from nexus.cli.options import AsJson
from nexus.cli.outcome import NotDoneError
from nexus.cli.signals import signals_unwind
from nexus.cli.terminal import console, print_json

DEFAULT_DATA: Final = Path("demo-data")
REFRESH_S: Final = 0.5
DEAD_S: Final = 4.0
"""A killed node stays dead for so long."""


def demo(
    *,
    replicas: Annotated[
        int,
        typer.Option("--replicas", min=2, max=8, help="How many replicas."),
    ] = 2,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Where the nodes keep their data."),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Kill a replica and the master, verify, and exit."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a whole cluster on this machine, under writes."""
    if as_json and not once:
        raise typer.BadParameter("--json needs --once: without it, nothing ends")
    with signals_unwind():
        if once:
            _once(replicas, data, as_json=as_json)
        else:
            _endless(replicas, data or DEFAULT_DATA)


def _endless(replicas: int, root: Path) -> None:
    print(f"starting a master and {replicas} replicas under {root}/ …")
    with running_cluster(root, replicas=replicas) as nodes:
        shop = chinook_shop(*(node.url for node in nodes))
        view = View(nodes, shop)
        keeper = Keeper(nodes)
        live = Live(console=console(), auto_refresh=False)
        with suppress(KeyboardInterrupt), shop.open(), live:
            while True:
                keeper.restart_the_dead(time.monotonic())
                view.refresh()
                view.event = how_to_go_on(nodes)
                live.update(view.draw(), refresh=True)
                time.sleep(REFRESH_S)
        view.close()
        print("stopping …")
    print(f"All nodes are stopped; their data stays under {root}/.")


class Keeper:
    """Starts again what somebody killed, after a while in which to see it dead."""

    def __init__(self, nodes: Sequence[NodeProcess]) -> None:
        self._nodes = nodes
        self._dead_since: dict[str, float] = {}

    def restart_the_dead(self, now: float) -> None:
        """Look at every process; `now` is in seconds."""
        for node in self._nodes:
            if node.pid:
                self._dead_since.pop(node.name, None)
            elif now - self._dead_since.setdefault(node.name, now) >= DEAD_S:
                node.start()


def _once(replicas: int, data: Path | None, *, as_json: bool) -> None:
    root = data or Path(tempfile.mkdtemp(prefix="nexus-demo-"))
    try:
        with running_cluster(root, replicas=replicas) as nodes:
            shop = chinook_shop(*(node.url for node in nodes))
            view = View(nodes, shop)
            if as_json:
                summary = run_once(nodes, shop, view, None)
            else:
                # The table goes when all is told; the summary stays.
                live = Live(console=console(), auto_refresh=False, transient=True)
                with live:
                    summary = run_once(nodes, shop, view, live)
            view.close()
    except NotDoneError as error:
        raise NotDoneError(f"{error} (the nodes' data stays under {root}/)") from None
    if as_json:
        print_json(summary.document())
    else:
        print_summary(summary)
    if summary.faults:
        raise NotDoneError(
            f"{'; '.join(summary.faults)} (the nodes' data stays under {root}/)"
        )
    if data is None:
        shutil.rmtree(root, ignore_errors=True)


def how_to_go_on(nodes: Sequence[NodeProcess]) -> str:
    """What to try while it runs."""
    first, replica = nodes[0], nodes[-1]
    file = f"file:{replica.data_dir / 'nexus.db'}?mode=ro"
    return "\n".join(
        [
            f"dashboard     {first.url}/",
            f"write         nexus sql {replica.url}",
            f"read          sqlite3 '{file}' .tables",
            f"look          nexus status {first.url}",
            f"compare       nexus verify {first.url}",
            f"break it      kill -9 {first.pid or '…'}   (it restarts after a moment)",
            f"API, metrics  {first.url}/openapi.json  {first.url}/metrics",
            "stop          Ctrl-C   (the data stays)",
        ]
    )
