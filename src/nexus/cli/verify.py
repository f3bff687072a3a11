"""Prove that every node holds the same rows: hashes at one offset, compared."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from nexus.cli.cluster import NodeView, look, master_of
from nexus.cli.options import AsJson, NodeUrls, SecretFile
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import NodeCallError, Remote, known_secret
from nexus.cli.terminal import console, count, plain_table, print_json

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
        typer.Option("--timeout", min=1.0, help="Seconds to wait for the slowest."),
    ] = 300.0,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Hash every table at one offset on every node; exit 1 if any differs."""
    secret = known_secret(secret_file)
    offset, found = fingerprints(look(urls, secret), secret, timeout_s=timeout)
    different = differences(found)
    if as_json:
        print_json({"offset": offset, "equal": not different, "nodes": found})
    else:
        console().print(comparison(offset, found))
    if different:
        raise NotDoneError(
            f"{', '.join(different)}: not the same on every node at offset "
            f"{offset}; stop the node that is wrong, move its data directory aside and "
            "start it again: it takes a full sync"
        )


def fingerprints(
    views: tuple[NodeView, ...], secret: str, *, timeout_s: float
) -> tuple[int, dict[str, Fingerprints]]:
    """The offset of one mark, and what every node's tables hash to there, by URL.

    Raises NotDoneError where a node cannot say so in time.
    """
    for view in views:
        if view.error:
            raise NotDoneError(view.error)
    views = tuple(view for view in views if view.role != "witness")
    master = master_of(views)
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
        table.add_column(url.removeprefix("http://"), justify="center")
    first = next(iter(found.values()))
    for name in _names(found):
        rows = first.get("tables", {}).get(name, {}).get("rows")
        expected = _hash(first, name)
        table.add_row(
            name,
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
