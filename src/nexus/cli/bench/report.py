"""The lines of the benchmark, their targets, and how they are shown."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw
from rich.table import Table

from nexus.cli.terminal import plain_table
from nexus.storage import wal


@dataclass(frozen=True, slots=True)
class Line:
    """One claim: what is measured, and what it should come to."""

    id: str
    family: str
    what: str
    unit: str
    target: float
    at_most: bool = False
    """The target is an upper bound; else a lower one."""
    or_line: str = ""
    """Id of another line: the claim is kept where that one is."""

    @property
    def wanted(self) -> str:
        """The target, for people."""
        return f"{'≤' if self.at_most else '≥'} {_number(self.target)} {self.unit}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one line came to; None where it could not be measured, `detail` says why."""

    value: float | None
    detail: str


Results = Mapping[str, Measured]

LINES: Final = (
    Line("commits-64", "commits", "commits, 64 clients, 2 replicas", "x plain", 4),
    Line("commits-1", "commits", "commits, 1 client", "x plain", 0.8),
    Line(
        "commits-1-followed",
        "commits",
        "commits, 1 client, 2 replicas",
        "x plain",
        0.8,
    ),
    Line("bulk", "bulk", "bulk load, transactions of 1,000 rows", "x plain", 0.5),
    Line("bulk-alone", "bulk", "the same with no replica", "x plain", 0.5),
    Line(
        "bulk-replicas",
        "bulk",
        "until the last replica has the bulk load",
        "% more time",
        10,
        at_most=True,
    ),
    Line(
        "catchup-rows",
        "catchup",
        "rows applied by a replica that catches up",
        "rows/s",
        300_000,
        or_line="catchup-entries",
    ),
    Line(
        "catchup-entries",
        "catchup",
        "single-row entries applied by a replica that catches up",
        "x master",
        3,
        or_line="catchup-rows",
    ),
    Line("lag", "lag", "lag under 64 clients, 99th percentile", "ms", 50, at_most=True),
    Line("fullsync", "fullsync", "full sync of a new replica", "x zstd", 0.7),
    Line(
        "fullsync-standing",
        "fullsync",
        "full sync into a database that readers may have open",
        "x zstd",
        0.7,
    ),
    Line(
        "fullsync-master",
        "fullsync",
        "memory of the master in a full sync",
        "MiB",
        200,
        at_most=True,
    ),
    Line(
        "fullsync-replica",
        "fullsync",
        "memory of the replica in a full sync",
        "MiB",
        200,
        at_most=True,
    ),
    Line("fullsync-writers", "fullsync", "writers in a full sync", "x before", 0.7),
    Line(
        "rejoin",
        "rejoin",
        "rejoin of a master with entries of its own",
        "s",
        3,
        at_most=True,
    ),
    Line("rejoin-wire", "rejoin", "bytes that it receives", "MB", 5, at_most=True),
    Line(
        "failover",
        "failover",
        "from kill -9 to the first write of another master",
        "s",
        1,
        at_most=True,
    ),
    Line(
        "failover-default",
        "failover",
        "the same with the default heartbeats",
        "s",
        17,
        at_most=True,
    ),
    Line(
        "switchover",
        "failover",
        "longest gap between writes in a switchover",
        "ms",
        300,
        at_most=True,
    ),
    Line(
        "memory",
        "memory",
        "master's memory: idle, stopped or slow replica",
        "MiB apart",
        32,
        at_most=True,
    ),
    Line("http", "http", "POST /sql, 64 connections", "/s", 4_000),
    Line("http-forwarded", "http", "POST /sql to a replica", "/s", 2_000),
    Line("clients-insert", "clients", "inserts of 64 native clients", "x POST /sql", 4),
    Line("clients-read", "clients", "point read, data directory", "x sqlite3", 0.5),
    Line("changes", "changes", "GET /changes, one consumer", "/s", 30_000),
    Line(
        "archive",
        "archive",
        "archiving all of a database to a directory",
        "x Litestream",
        1.5,
        at_most=True,
    ),
    Line(
        "archive-restore",
        "archive",
        "restoring it",
        "x Litestream",
        1.5,
        at_most=True,
    ),
    Line(
        "archive-lost",
        "archive",
        "commits lost with every disk, the archive left",
        "s",
        1,
        at_most=True,
    ),
)

FAMILIES: Final = tuple(dict.fromkeys(line.family for line in LINES))


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of ours / theirs, of measurements taken in turns."""
    return statistics.median(ours / theirs for ours, theirs in pairs)


def is_met(line: Line, results: Results) -> bool | None:
    """Whether the claim is kept; None where it could not be measured."""
    alternative = next((other for other in LINES if other.id == line.or_line), None)
    own = _reaches(line, results)
    if own is not True and alternative is not None and _reaches(alternative, results):
        return True
    return own


def _reaches(line: Line, results: Results) -> bool | None:
    measured = results.get(line.id)
    if measured is None or measured.value is None:
        return None
    if line.at_most:
        return measured.value <= line.target
    return measured.value >= line.target


def machine() -> str:
    """What it was measured on, in one line."""
    path = "interpreted" if wal.__file__.endswith(".py") else "compiled"
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, "
        f"the commit path {path}"
    )


def document(results: Results, *, quick: bool) -> dict[str, Any]:
    """For --json."""
    return {
        "machine": machine(),
        "quick": quick,
        "lines": [
            {
                "id": line.id,
                "family": line.family,
                "what": line.what,
                "measured": results[line.id].value,
                "unit": line.unit,
                "target": line.target,
                "at_most": line.at_most,
                "met": is_met(line, results),
                "detail": results[line.id].detail,
            }
            for line in LINES
            if line.id in results
        ],
    }


def table(results: Results) -> Table:
    """For a terminal."""
    made = plain_table()
    for heading in _HEADINGS:
        made.add_column(heading)
    for row in _rows(results):
        made.add_row(*row)
    return made


def markdown(results: Results, *, quick: bool) -> str:
    """For the documentation."""
    rows = [_HEADINGS, tuple("---" for _ in _HEADINGS), *_rows(results)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    kind = "`nexus bench --quick`" if quick else "`nexus bench`"
    return "\n".join([*lines, "", f"Measured by {kind} on {machine()}.", ""])


_HEADINGS: Final = ("line", "measured", "target", "met", "figures")


def _rows(results: Results) -> list[tuple[str, ...]]:
    said = {True: "yes", False: "no", None: "not measured"}
    rows: list[tuple[str, ...]] = []
    for line in LINES:
        if line.id in results:
            value, detail = results[line.id].value, results[line.id].detail
            shown = "-" if value is None else f"{_number(value)} {line.unit}"
            met = said[is_met(line, results)]
            rows.append((line.what, shown, line.wanted, met, detail))
    return rows


def _number(value: float) -> str:
    """Three digits, or all in front of the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004
