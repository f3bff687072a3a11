"""Show the whole cluster as a table."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.cells import cell_len
from rich.console import Group, JustifyMethod
from rich.live import Live
from rich.text import Text

from nexus.cli.cluster import WRITERS, NodeView, look_for_all
from nexus.cli.options import AsJson, NodeUrls, SecretFile
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import known_secret
from nexus.cli.terminal import (
    console,
    count,
    harmless,
    plain_table,
    print_json,
    print_json_line,
    seconds,
)
from nexus.cli.tree import branched
from nexus.cli.watching import Watch
from nexus.model.cluster import CERTIFICATE_SOON_S

STATE_STYLES: Final = {
    "streaming": "green",
    "full_sync": "yellow",
    "rewinding": "yellow",
    "connecting": "yellow",
    "reconnecting": "red",
    "paused": "yellow",
    "stopped": "red",
    "refuses": "yellow",
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
MISSED_LEAST: Final = ("durable", "epoch", "behind", "entries/s")
"""Columns that a narrow terminal does without, the first first."""

GAP: Final = 2
"""Between columns."""


def status(
    urls: NodeUrls,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep the table on screen and up to date.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, help="Seconds between looks.")
    ] = 1.0,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Show every node of the cluster: role, state, offsets, lag."""
    secret = known_secret(secret_file)
    if watch:
        watched = Watch(urls, lambda known: look_for_all(known, secret), time.monotonic)
        show = _stream if as_json else _watch
        # Ctrl-C is how one leaves, or the end of whoever reads the lines.
        with suppress(KeyboardInterrupt, BrokenPipeError):
            show(watched, interval)
        return
    views = look_for_all(urls, secret)
    silent = next((view.error for view in views if view.named and view.error), "")
    if as_json:
        print_json({"nodes": [_document(view) for view in views]})
    else:
        shown_on = console()
        table = cluster_table(views, width=shown_on.width, told_apart=silent)
        shown_on.print(table)
    if silent:
        raise NotDoneError(silent)


def cluster_table(
    views: tuple[NodeView, ...],
    rates: dict[str, float] | None = None,
    width: int | None = None,
    told_apart: str = "",
) -> Group:
    """One row a node; under the table, what is wrong with whom, but for `told_apart`.

    `rates` are entries a second by the node's id; None leaves the column out. Where
    the columns are wider than `width`, those go that are missed least.
    """
    *columns, address = COLUMNS
    if rates is not None:
        columns.append(("entries/s", "right"))
    columns.append(address)
    rows = []
    for place, view in branched(views):
        rate = (rates or {}).get(str(view.status.get("node_id", "")))
        shown = "" if rate is None or view.error else count(rate)
        node, *cells, url = _cells(view)
        rows.append(
            (f"{place}{node}", *cells, *(() if rates is None else (shown,)), url)
        )
    kept = _fitting([name for name, _ in columns], rows, width)
    table = plain_table(_title(views))
    for at in kept:
        name, justify = columns[at]
        table.add_column(name, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(row[at] for at in kept))
    problems = [problem for view in views if (problem := _problem(view))]
    told = [problem for problem in problems if problem != told_apart]
    return Group(table, *(Text(harmless(problem), style="red") for problem in told))


def _fitting(
    names: list[str], rows: list[tuple[Text | str, ...]], width: int | None
) -> list[int]:
    """The places of the columns that stand side by side within `width`."""
    widths = [
        max(len(name), *(cell_len(str(row[place])) for row in rows), 0)
        for place, name in enumerate(names)
    ]
    kept = list(range(len(names)))
    for name in MISSED_LEAST:
        if width is None or sum(widths[place] + GAP for place in kept) - GAP <= width:
            break
        kept = [place for place in kept if names[place] != name]
    return kept


def _problem(view: NodeView) -> str:
    if view.error:
        return view.error
    told = [str(view.status.get("last_error", ""))]
    witness = view.status.get("role") == "witness"
    if not (witness or view.status.get("has_database", True)):
        told.append("this node has no database yet")
    if (archive := view.status.get("archive")) and archive.get("last_error"):
        behind = f"{count(archive.get('lag', 0))} entries behind"
        told.append(f"the archive is {behind}: {archive['last_error']}")
    told.append(_certificate(view.status.get("certificate_expires")))
    told.append(_revocation_list(view.status.get("revocation_list_ends")))
    told = [what for what in told if what]
    return f"{view.url}: {'; '.join(told)}" if told else ""


def _certificate(expires_s: float | None) -> str:
    """What is to be said of a certificate that ends soon, or has ended."""
    if expires_s is None or expires_s - time.time() > CERTIFICATE_SOON_S:
        return ""
    days = int((expires_s - time.time()) // 86_400)
    ends = f"ends in {days} days" if days > 0 else "ends today"
    return f"its certificate {ends if days >= 0 else 'has expired'}; issue another one"


def _revocation_list(ends_s: float | None) -> str:
    if ends_s is None or ends_s > time.time():
        return ""
    return "its list of revoked certificates has ended; put a newer one in its place"


def _watch(watched: Watch, interval: float) -> None:
    with Live(console=console(), auto_refresh=False, screen=False) as live:
        while True:
            glance = watched.glance()
            table = cluster_table(glance.views, glance.rates, live.console.width)
            live.update(table, refresh=True)
            time.sleep(interval)


def _stream(watched: Watch, interval: float) -> None:
    """One line of JSON for each look."""
    while True:
        glance = watched.glance()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        nodes = [_document(view) for view in glance.views]
        for node in nodes:
            node_id = node.get("status", {}).get("node_id", "")
            node["entries_per_second"] = glance.rates.get(node_id)
        print_json_line({"time": now, "nodes": nodes})
        time.sleep(interval)


def _document(view: NodeView) -> dict[str, Any]:
    document: dict[str, Any] = {"url": view.url}
    if view.error:
        known = {"status": view.status} if view.status else {}
        return document | {"error": view.error} | known
    return document | {"status": view.status, "replicas": list(view.replicas)}


def _late(state: str, delay_ms: int) -> str:
    """The state; of a delayed replica with what it means to be behind."""
    return f"{state}, {seconds(delay_ms / 1000)} late" if delay_ms else state


def _title(views: tuple[NodeView, ...]) -> str:
    clusters = {str(view.status.get("cluster_id", "")) for view in views}
    known = sorted(cluster for cluster in clusters if cluster)
    return f"cluster {', '.join(known)}" if known else ""


def _cells(view: NodeView) -> tuple[Text | str, ...]:
    if view.error:
        word = "refuses" if view.refuses else "unreachable"
        lost = Text(word, style=STATE_STYLES[word])
        node_id = str(view.status.get("node_id", "?"))
        return (node_id, "", lost, "", "", "", "", "", view.url)
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
