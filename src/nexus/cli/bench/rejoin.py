"""How a deposed master comes back: what it takes back, in what time, over the wire."""

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any, Final

from nexus.cli.bench.bed import FOLLOW_TIMEOUT_S, INSERT, POLL_S, TEXT, Bed
from nexus.cli.bench.fullsync import fill
from nexus.cli.bench.report import Measured
from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import CALL_ERRORS, Remote
from nexus.cli.terminal import size
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.importer import import_database

DIVERGED: Final = 1_000
"""Entries that only the old master has."""

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Rejoined:
    """What it took from the start of the process until the node follows."""

    seconds: float
    bytes_received: int


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `rejoin`."""
    bed.tell(f"making a database of {size(bed.scale.sync_bytes)}")
    source = bed.root / "source.db"
    await asyncio.to_thread(fill, source, bed.scale.sync_bytes)
    old = NodeProcess("old", bed.root, master=None)
    new = NodeProcess("new", bed.root, master=old)
    await asyncio.to_thread(import_database, source, DataDirectory(old.data_dir))
    source.unlink()
    try:
        bed.tell("a replica's full sync of it")
        await asyncio.to_thread(begin, old, new)
        bed.tell(f"{DIVERGED:,} entries that only the master has")
        await asyncio.to_thread(diverge, old, new)
        bed.tell("the old master comes back")
        found = await asyncio.to_thread(rejoin, old, new)
    finally:
        stop_all([old, new])
    of = f"{DIVERGED:,} entries, {size(bed.scale.sync_bytes)}"
    return {
        "rejoin": Measured(found.seconds, f"{of}; with the start of the process"),
        "rejoin-wire": Measured(found.bytes_received / MEGABYTE, of),
    }


def begin(old: NodeProcess, new: NodeProcess) -> None:
    """Both run, and the replica has all that its master has."""
    for node in (old, new):
        node.start()
        node.wait_until_up()
    _wait(new, "follow", _is_level(old))
    os.sync()  # what the making of the databases has left to write is no rejoin's cost


def diverge(old: NodeProcess, new: NodeProcess) -> None:
    """The master writes what its replica does not get, and dies; the replica reigns."""
    with Remote(old.url) as remote:
        remote.post("/replication/pause")
        for number in range(DIVERGED):
            _insert(remote, number)
    old.kill()
    with Remote(new.url) as remote:
        remote.post("/replication/promote", {"force": True})
        _insert(remote, -1)


def rejoin(old: NodeProcess, new: NodeProcess) -> Rejoined:
    """Start the old master; it must come back by a rewind, with no full sync."""
    begun = time.perf_counter()
    old.start()
    _wait(old, "come back", _is_level(new))
    seconds = time.perf_counter() - begun
    with Remote(old.url) as remote:
        stats = remote.get("/replication/replica/stats")
    if (stats["rewinds"], stats["full_syncs"]) != (1, 0):
        raise NotDoneError(
            f"the old master came back by {stats['rewinds']} rewinds and "
            f"{stats['full_syncs']} full syncs: {old.last_words()}"
        )
    return Rejoined(seconds, stats["bytes_received"])


def _insert(remote: Remote, number: int) -> None:
    statement = {"sql": INSERT, "params": [number, TEXT]}
    remote.post("/sql", {"statements": [statement]})


def _is_level(master: NodeProcess) -> dict[str, Any]:
    """What a replica's status says once it has everything of this master."""
    with Remote(master.url) as remote:
        status = remote.get("/replication/status")
    return {
        "role": "replica",
        "state": "streaming",
        "epoch": status["epoch"],
        "applied_offset": status["wal_offset"],
    }


def _wait(node: NodeProcess, what: str, wanted: dict[str, Any]) -> None:
    """Until its status says so; raises NotDoneError if it does not."""
    deadline = time.monotonic() + FOLLOW_TIMEOUT_S
    with Remote(node.url) as remote:
        while time.monotonic() < deadline:
            try:
                status = remote.get("/replication/status")
            except CALL_ERRORS:
                status = {}
            if wanted.items() <= status.items():
                return
            time.sleep(POLL_S)
    raise NotDoneError(f"{node.name} did not {what}: {node.last_words()}")
