"""Show the whole cluster as a table."""

import time
from contextlib import suppress
from typing import Annotated, Any, Final

import typer
from rich.console import Group, JustifyMethod
from rich.live import Live
from rich.text import Text

from nexus.cli.cluster import WRITERS, NodeView, look
from nexus.cli.options import AsJson, NodeUrls, SecretFile
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import known_secret
from nexus.cli.terminal import console, count, plain_table, print_json, seconds
from nexus.cli.tree import branched

STATE_STYLES: Final = {
    "streaming": "green",
    "full_sync": "yellow",
    "rewinding": "yellow",
    "connecting": "yellow",
    "reconnecting": "red",
    "paused": "yellow",
    "stopped": "red",
    "unreachable": "bold red",
}
COLUMNS: Final[tuple[tuple[str, JustifyMethod], ...]] = (
    ("node", "left"),
    ("role", "left"),
    ("state", "left"),
    ("epoch", "right"),
    ("durable", "right"),
    ("applied", "right"),
    ("lag", "right"),
    ("behind", "right"),
    ("address", "left"),
)


def status(
    urls: NodeUrls,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and show it again and again.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, help="Seconds between looks.")
    ] = 1.0,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Show every node of the cluster: role, state, offsets, lag."""
    secret = known_secret(secret_file)
    if watch and not as_json:
        # Ctrl-C is how one leaves.
        with suppress(KeyboardInterrupt):
            _watch(urls, secret, interval)
        return
    views = look(urls, secret)
    if as_json:
        print_json({"nodes": [_document(view) for view in views]})
    else:
        console().print(cluster_table(views))
    silent = [view for view in views if view.named and view.error]
    if silent:
        raise NotDoneError(silent[0].error)


def cluster_table(views: tuple[NodeView, ...]) -> Group:
    """One row a node; under the table, what is wrong with whom."""
    table = plain_table(_title(views))
    for name, justify in COLUMNS:
        table.add_column(name, justify=justify, no_wrap=True)
    for place, view in branched(views):
        cells = _cells(view)
        table.add_row(f"{place}{cells[0]}", *cells[1:])
    problems = [problem for view in views if (problem := _problem(view))]
    return Group(table, *(Text(problem, style="red") for problem in problems))


def _problem(view: NodeView) -> str:
    if view.error:
        return view.error
    told = [str(view.status.get("last_error", ""))]
    if not view.status.get("has_database", True):
        told.append("this node has no database yet")
    told = [what for what in told if what]
    return f"{view.url}: {'; '.join(told)}" if told else ""


def _watch(urls: list[str], secret: str, interval: float) -> None:
    with Live(console=console(), auto_refresh=False, screen=False) as live:
        while True:
            live.update(cluster_table(look(urls, secret)), refresh=True)
            time.sleep(interval)


def _document(view: NodeView) -> dict[str, Any]:
    document: dict[str, Any] = {"url": view.url}
    if view.error:
        return document | {"error": view.error}
    return document | {"status": view.status, "replicas": list(view.replicas)}


def _late(state: str, delay_ms: int) -> str:
    """The state; of a delayed replica with what it means to be behind."""
    return f"{state}, {seconds(delay_ms / 1000)} late" if delay_ms else state


def _title(views: tuple[NodeView, ...]) -> str:
    clusters = {str(view.status["cluster_id"]) for view in views if view.status}
    known = sorted(cluster for cluster in clusters if cluster)
    return f"cluster {', '.join(known)}" if known else ""


def _cells(view: NodeView) -> tuple[Text | str, ...]:
    if view.error:
        lost = Text("unreachable", style=STATE_STYLES["unreachable"])
        return ("?", "", lost, "", "", "", "", "", view.url)
    status = view.status
    state = "paused" if status.get("paused") else str(status.get("state", ""))
    delay_ms = int(status.get("apply_delay_ms", 0))
    leads = status.get("role") in WRITERS
    replicas = int(status.get("replica_count", 0))
    shown = (
        Text(f"{replicas} replica{'' if replicas == 1 else 's'}")
        if leads and state != "paused"
        else Text(_late(state, delay_ms), style=STATE_STYLES.get(state, ""))
    )
    return (
        str(status.get("node_id", "?")),
        Text(view.role, style="bold" if leads else ""),
        shown,
        count(status.get("epoch", 0)),
        count(status.get("durable_offset", 0)),
        count(status.get("applied_offset", 0)),
        "" if leads else count(status.get("lag", 0)),
        "" if leads else seconds(float(status.get("lag_seconds", 0))),
        view.url,
    )
