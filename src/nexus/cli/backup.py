"""What lies in an archive, whether it can be restored, and a snapshot into it now."""

import time
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from nexus.archive.inventory import (
    Inventory,
    newest_reign,
    side_histories,
    take_stock,
)
from nexus.archive.opening import open_store
from nexus.archive.planning import gaps, windows
from nexus.archive.restoring import Moment, read_history
from nexus.archive.stores import Store
from nexus.archive.verifying import Verified
from nexus.archive.verifying import verify as verify_archive
from nexus.cli.cluster import WRITERS, NodeView, look
from nexus.cli.moments import (
    OfCluster,
    OfHistory,
    ToOffset,
    ToTime,
    moment_of,
)
from nexus.cli.options import AsJson, FunctionModules, NodeUrl, SecretFile, functions_of
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote, known_secret
from nexus.cli.restore import DEFAULT_MAX_SIZE, MaxSize, size_limit
from nexus.cli.terminal import console, count, plain_table, print_json, size
from nexus.cli.times import said_time
from nexus.cli.trust import with_trust
from nexus.cli.verify import differences, fingerprints
from nexus.errors import ArchiveError
from nexus.model.position import Offset

POLL_S: Final = 0.2

ArchiveUrl = Annotated[
    str, typer.Argument(metavar="ARCHIVE", help="The archive.url of the nodes.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1.0, help="Seconds to wait for it.")
]

app: Final = typer.Typer(
    help="List, verify and make backups in an archive.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command()
@with_trust
def now(
    url: NodeUrl,
    timeout: Timeout = 3600.0,
    *,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Archive a snapshot of the master, and wait until it is there."""
    with Remote(url, known_secret(secret_file)) as remote:
        before = remote.get("/replication/status")
        snapshots = remote.post("/replication/archive")["snapshots"]
        archive = _await_archive(
            remote, before["applied_offset"], timeout, snapshots=snapshots + 1
        )
    if as_json:
        print_json(archive)
        return
    print(
        f"{archive['url']} holds a new snapshot; everything up to offset "
        f"{count(archive['offset'])} can be restored"
    )


@app.command("list")
def list_backups(archive: ArchiveUrl, *, as_json: AsJson = False) -> None:
    """List the clusters, snapshots and moments that an archive holds."""
    store = open_store(archive)
    found = [
        _described(store, inventory) for inventory in take_stock(store.list()).values()
    ]
    if not found:
        raise NotDoneError(f"{store.url} holds nothing of any cluster")
    if as_json:
        print_json(found)
        return
    for cluster in found:
        console().print(_table(cluster))
        for line in _summary(cluster):
            print(line)


@app.command()
@with_trust
def verify(  # noqa: PLR0913 - each is an option of the command
    archive: ArchiveUrl,
    max_size: MaxSize = DEFAULT_MAX_SIZE,
    *,
    to_offset: ToOffset = None,
    to_time: ToTime = None,
    cluster: OfCluster = None,
    history: OfHistory = None,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="URL", help="Compare with this master's rows."),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work", metavar="DIR", help="The directory for the trial restore."
        ),
    ] = None,
    functions: FunctionModules = "",
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Check an archive by restoring it; exit with 1 if it is unsound."""
    moment = moment_of(to_offset, to_time, cluster, history)
    expected: dict[str, Any] | None = None
    if node is not None:
        if moment.offset is not None or moment.time_us is not None:
            raise typer.BadParameter(
                "--node compares with what it holds now, not at another moment"
            )
        secret = known_secret(secret_file)
        moment, expected = _at_the_node(node, secret, moment, timeout)
    verified = verify_archive(
        open_store(archive),
        moment,
        max_size=size_limit(max_size),
        work=work,
        functions=functions_of(functions),
    )
    _tell_verified(verified, expected, as_json=as_json)


def _tell_verified(
    verified: Verified, expected: dict[str, Any] | None, *, as_json: bool
) -> None:
    position = verified.restored.position
    found = msgspec.to_builtins(verified.prints)
    different = (
        [] if expected is None else differences({"master": expected, "archive": found})
    )
    if as_json:
        print_json(
            {
                "cluster_id": verified.restored.cluster_id,
                "offset": position.offset,
                "epoch": position.epoch,
                "compared": expected is not None,
                "different": different,
                "fingerprints": found,
            }
        )
    if different:
        raise NotDoneError(
            f"{', '.join(different)}: not the same in the archive as on the master at "
            f"offset {position.offset}; take a new snapshot (nexus backup now), verify "
            "again, and report this"
        )
    if not as_json:
        tables = len(verified.prints.tables)
        rows = sum(one.rows for one in verified.prints.tables.values())
        same = ", the same as on the master" if expected is not None else ""
        print(
            f"restored and sound at offset {count(position.offset)} of cluster "
            f"{verified.restored.cluster_id}: {_counted(tables, 'table')}, "
            f"{_counted(rows, 'row')}{same}"
        )


def _at_the_node(
    url: str, secret: str, moment: Moment, timeout_s: float
) -> tuple[Moment, dict[str, Any]]:
    """A mark in the master's log, once it is archived, and its hashes there."""
    views = tuple(view for view in look([url], secret) if _is_master(view))
    if not views:
        raise NotDoneError(f"{url} knows of no master; name the master itself")
    offset, found = fingerprints(views, secret, timeout_s=timeout_s)
    with Remote(views[0].url, secret) as remote:
        archive = _await_archive(remote, offset, timeout_s)
        cluster = moment.cluster_id or remote.get("/replication/status")["cluster_id"]
    assert archive["offset"] >= offset, "that was waited for"
    expected: dict[str, Any] = dict(next(iter(found.values())))
    return Moment(Offset(offset), None, cluster, moment.history_id), expected


def _is_master(view: NodeView) -> bool:
    return not view.error and view.role in WRITERS


def _await_archive(
    remote: Remote, offset: int, timeout_s: float, *, snapshots: int = 0
) -> dict[str, Any]:
    """The archive's status once it has all up to `offset`; raises NotDoneError."""
    deadline = time.monotonic() + timeout_s
    while True:
        archive: dict[str, Any] | None = remote.get("/replication/status")["archive"]
        if archive is None:
            raise NotDoneError(
                f"{remote.url} archives nothing; only a master with archive.url does"
            )
        if archive["offset"] >= offset and archive["snapshots"] >= snapshots:
            return archive
        if time.monotonic() > deadline:
            why = archive["last_error"] or "it is not done yet; see its status"
            raise NotDoneError(f"{archive['url']} was not written to in time: {why}")
        time.sleep(POLL_S)


def _described(store: Store, inventory: Inventory) -> dict[str, Any]:
    """One cluster: of its newest history the snapshots, and what can be restored.

    `error` says why that cannot be told; then there are neither.
    """
    reigns = sorted(inventory.reigns)
    told: dict[str, Any] = {
        "cluster_id": inventory.cluster_id,
        "error": "",
        "epoch": None,
        "history_id": None,
        "other_histories": [one.history_id for one in reigns],
        "windows": [],
        "missing": [],
        "snapshots": [],
        "runs": len(inventory.runs),
        "bytes": sum(inventory.sizes.values()),
    }
    try:
        reign = newest_reign(inventory, None)
        history = read_history(store, reign)
    except ArchiveError as error:
        return told | {"error": str(error)}
    return told | {
        "epoch": reign.epoch,
        "history_id": reign.history_id,
        "other_histories": [
            one.history_id for one in side_histories(inventory, history)
        ],
        "windows": windows(inventory, history),
        "missing": gaps(inventory, history),
        "snapshots": [
            {
                "offset": one.offset,
                "epoch": one.reign.epoch,
                "time": said_time(one.time_us),
                "bytes": inventory.sizes[str(one)],
            }
            for one in inventory.snapshots_of(history)
        ],
    }


def _table(cluster: dict[str, Any]) -> Table:
    table = plain_table(f"cluster {cluster['cluster_id']}")
    table.add_column("snapshot at", justify="right")
    table.add_column("epoch", justify="right")
    table.add_column("time")
    table.add_column("size", justify="right")
    for one in cluster["snapshots"]:
        table.add_row(
            count(one["offset"]), str(one["epoch"]), one["time"], size(one["bytes"])
        )
    return table


def _entries(first: int, last: int) -> str:
    if first == last:
        return f"entry {count(first)}"
    return f"entries {count(first)} to {count(last)}"


def _counted(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def _summary(cluster: dict[str, Any]) -> list[str]:
    if cluster["error"]:
        return [cluster["error"]]
    said = [
        f"every moment from offset {count(first)} to {count(last)} can be restored"
        for first, last in cluster["windows"]
    ]
    said += [
        f"{_entries(first, last)} missing: nothing after it can be restored, up to the "
        "next snapshot"
        for first, last in cluster["missing"]
    ]
    said.append(f"{count(cluster['runs'])} runs, {size(cluster['bytes'])} in all")
    if cluster["other_histories"]:
        said.append(f"other histories: {', '.join(cluster['other_histories'])}")
    return said
