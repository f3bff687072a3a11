"""Prove that every node holds the same rows: hashes at one offset, compared."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from nexus.cli.cluster import NodeView, look_for_all, master_of
from nexus.cli.options import AsJson, NodeUrls, SecretFile
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import NodeCallError, Remote, known_secret
from nexus.cli.terminal import console, count, in_a_line, plain_table, print_json

POLL_S: Final = 0.2
SCHEMA: Final = "(schema)"
HASH_DIGITS: Final = 12
"""Shown of a hash; the comparison uses all of it."""

UNKNOWN_MARK_S: Final = 5.0
"""So long a node may not know the mark: it may apply it at this very moment."""

Fingerprints = Mapping[str, Any]


def verify(
    urls: NodeUrls,
    *,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", min=1.0, help="Seconds to wait for the slowest node."
        ),
    ] = 300.0,
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            metavar="OFFSET",
            min=1,
            help="Compare at the offset of an earlier verify.",
        ),
    ] = None,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Compare every table on every node; exit 1 if any differs."""
    secret = known_secret(secret_file)
    views = look_for_all(urls, secret)
    late = {view.url: why for view in views if (why := _late(view, at, timeout))}
    prompt = tuple(view for view in views if view.url not in late)
    offset, found = fingerprints(prompt, secret, timeout_s=timeout, at=at)
    different = differences(found)
    if as_json:
        equal, missing = not different, {"not_compared": late} if late else {}
        print_json({"offset": offset, "equal": equal, "nodes": found, **missing})
    else:
        console().print(comparison(offset, found))
    _tell(offset, different, late)


def _tell(offset: int, different: list[str], late: Mapping[str, str]) -> None:
    """Raise NotDoneError for what differs, and for what was not compared."""
    if different:
        raise NotDoneError(
            f"{', '.join(different)}: not the same on every node at offset "
            f"{offset}; stop the node that is wrong, move its data directory aside and "
            "start it again: it takes a full sync"
        )
    if late:
        reasons = "; ".join(f"{url} {why}" for url, why in late.items())
        raise NotDoneError(
            f"not compared: {reasons}. The other nodes are equal; once it has applied "
            f"offset {offset}, nexus verify --at {offset} compares it too"
        )


def _late(view: NodeView, at: int | None, timeout_s: float) -> str:
    """Why this node will not apply a mark in time; empty if it may."""
    status = view.status
    if view.role != "replica" or (at and status.get("applied_offset", 0) >= at):
        return ""
    if status.get("paused"):
        return "is paused and applies nothing (nexus resume)"
    delay_s = status.get("apply_delay_ms", 0) / 1000
    if delay_s >= timeout_s:
        return f"applies everything {delay_s:.0f} s late on purpose (apply_delay_ms)"
    return ""


def fingerprints(
    views: tuple[NodeView, ...],
    secret: str,
    *,
    timeout_s: float,
    at: int | None = None,
) -> tuple[int, dict[str, Fingerprints]]:
    """The offset of one mark, and what every node's tables hash to there, by URL.

    Where there is an earlier mark `at`, that one. Raises NotDoneError where a node
    cannot say so in time.
    """
    views = tuple(view for view in views if view.role != "witness")
    for view in views:
        if reason := view.error or _late(view, at, timeout_s):
            raise NotDoneError(reason if view.error else f"{view.url} {reason}")
    master = master_of(views)
    offset = at or 0
    if at is None:
        with Remote(master.url, secret) as remote:
            offset = int(remote.post("/replication/verify")["offset"])
    deadline = time.monotonic() + timeout_s
    found = {}
    for view in views:
        with Remote(view.url, secret) as remote:
            found[view.url] = _wait(remote, offset, deadline)
    return offset, found


def differences(found: Mapping[str, Fingerprints]) -> list[str]:
    """The tables that are not the same on every node; the schema counts as one."""
    return [
        name
        for name in _names(found)
        if len({_hash(prints, name) for prints in found.values()}) > 1
    ]


def comparison(offset: int, found: Mapping[str, Fingerprints]) -> Table:
    """A row for each table: its rows and hash on the first node, and who differs."""
    table = plain_table(f"at offset {count(offset)}")
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("hash", no_wrap=True)
    for url in found:
        table.add_column(url.partition("://")[2], justify="center")
    first = next(iter(found.values()))
    for name in _names(found):
        rows = first.get("tables", {}).get(name, {}).get("rows")
        expected = _hash(first, name)
        table.add_row(
            Text(in_a_line(name)),
            "" if rows is None else count(rows),
            expected[:HASH_DIGITS],
            *(_mark(_hash(prints, name), expected) for prints in found.values()),
        )
    return table


def _wait(remote: Remote, offset: int, deadline: float) -> Fingerprints:
    begun = time.monotonic()
    while True:
        try:
            answer: dict[str, Any] = remote.get(f"/replication/verify/{offset}")
        except NodeCallError as error:
            patience_ends = begun + UNKNOWN_MARK_S
            if error.status != HTTPStatus.NOT_FOUND or time.monotonic() > patience_ends:
                raise
        else:
            if "tables" in answer:
                return answer
        if time.monotonic() > deadline:
            raise NotDoneError(
                f"{remote.url} has not hashed its tables at offset {offset} in time; "
                "see its lag (nexus status), or wait longer with --timeout"
            )
        time.sleep(POLL_S)


def _names(found: Mapping[str, Fingerprints]) -> list[str]:
    tables = {name for prints in found.values() for name in prints.get("tables", {})}
    return [SCHEMA, *sorted(tables)]


def _hash(prints: Fingerprints, name: str) -> str:
    if name == SCHEMA:
        return str(prints.get("schema", ""))
    table = prints.get("tables", {}).get(name)
    return f"{table['hash']}/{table['rows']}" if table else ""


def _mark(found: str, expected: str) -> Text:
    if found == expected:
        return Text("equal", style="green")
    return Text("differs" if found else "missing", style="bold red")
