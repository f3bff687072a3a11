"""The command `nexus bench`."""

import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer
import uvloop

from nexus.cli.bench import (
    archive,
    bulk,
    catchup,
    clients,
    commits,
    failover,
    feed,
    fullsync,
    http,
    lag,
    memory,
    rejoin,
)
from nexus.cli.bench.apart import apart
from nexus.cli.bench.bed import FULL, QUICK, Bed, Scale, only_failures
from nexus.cli.bench.report import (
    FAMILIES,
    Measured,
    Results,
    document,
    machine,
    markdown,
    table,
)
from nexus.cli.options import AsJson
from nexus.cli.serve import SWITCH_INTERVAL_S
from nexus.cli.signals import signals_unwind
from nexus.cli.terminal import console, print_json

MEASURE: Final[dict[str, Callable[[Bed], Awaitable[dict[str, Measured]]]]] = {
    "commits": commits.measure,
    "bulk": bulk.measure,
    "catchup": catchup.measure,
    "lag": lag.measure,
    "fullsync": fullsync.measure,
    "rejoin": rejoin.measure,
    "failover": failover.measure,
    "memory": memory.measure,
    "http": http.measure,
    "clients": clients.measure,
    "changes": feed.measure,
    "archive": archive.measure,
}


def bench(
    families: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FAMILY", help=f"Any of {', '.join(FAMILIES)}; else all."
        ),
    ] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small counts, to see that it runs.")
    ] = False,
    markdown_file: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE", help="Also write it as Markdown."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Measure on the disk of DIR."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure Nexus against plain SQLite on this machine."""
    chosen = families or list(FAMILIES)
    for family in chosen:
        if family not in MEASURE:
            raise typer.BadParameter(f"'{family}' is none of {', '.join(FAMILIES)}")
    with signals_unwind():
        results = run(chosen, QUICK if quick else FULL, data)
    if markdown_file is not None:
        markdown_file.write_text(markdown(results, quick=quick), encoding="utf-8")
    if as_json:
        print_json(document(results, quick=quick))
        return
    console().print(table(results))
    print(f"\n{machine()}")


def run(families: Sequence[str], scale: Scale, data: Path | None) -> Results:
    """Measure these families, one after another; nothing is left on the disk."""
    results: dict[str, Measured] = {}
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="nexus-bench-", dir=data))
    try:
        for family in families:
            own = root / family
            own.mkdir()
            results |= apart(family, measured, family, own, scale)
            shutil.rmtree(own)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return results


def measured(family: str, root: Path, scale: Scale) -> dict[str, Measured]:
    """Measure one family in this process, in the empty directory `root`."""
    with _measuring_process():
        return uvloop.run(_measured(family, Bed(root, scale, _tell)))


async def _measured(family: str, bed: Bed) -> dict[str, Measured]:
    return await MEASURE[family](bed)


def _tell(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


@contextmanager
def _measuring_process() -> Iterator[None]:
    """As `nexus serve` sets its process up, and with no logs but of failures."""
    logs, interval = structlog.get_config(), sys.getswitchinterval()
    only_failures()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        structlog.configure(**logs)
