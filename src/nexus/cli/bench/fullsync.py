"""A full sync beside reading the file through zstd: its time, memory and noise."""

import asyncio
import os
import time
from pathlib import Path
from typing import Final

import apsw
import zstandard

from nexus.cli.bench import resident
from nexus.cli.bench.bed import (
    FOLLOW_TIMEOUT_S,
    POLL_S,
    SCHEMA,
    Bed,
    Cluster,
    follows,
    running,
)
from nexus.cli.bench.load import many_clients
from nexus.cli.bench.report import Measured
from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote
from nexus.cli.terminal import count, size
from nexus.storage.directory import DataDirectory
from nexus.storage.importer import import_database

LEVEL: Final = 3
"""The default of `snapshot.compression_level`."""

FILL: Final = """
with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
insert into bench select i, i, hex(randomblob(250)) || ' as usual ' || i from n"""
"""Half of each row is noise, the other half is what hexadecimal digits repeat."""
ROW_BYTES: Final = 540

SLICE: Final = 640
"""Commits between two looks at whether the full sync is done."""


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `fullsync`."""
    bed.tell(f"making a database of {size(bed.scale.sync_bytes)}")
    source = bed.root / "source.db"
    await asyncio.to_thread(fill, source, bed.scale.sync_bytes)
    bed.tell("reading it through zstd")
    through = await asyncio.to_thread(read_through_zstd, source)
    master = bed.root / "master"
    await asyncio.to_thread(import_database, source, DataDirectory(master))
    async with running(bed.root, replicas=0) as cluster:
        place = NodeProcess("master", bed.root, master=None)
        place.bind_addr = cluster.node.config.replication.bind_addr
        bed.tell("full sync")
        found = await _quiet(bed, cluster, place, source, through)
        bed.tell("full sync while 64 clients write")
        found["fullsync-writers"] = await _busy(bed, cluster, place)
    return found


async def _quiet(
    bed: Bed, cluster: Cluster, place: NodeProcess, source: Path, through_s: float
) -> dict[str, Measured]:
    replica = NodeProcess("quiet", bed.root, master=place)
    own_mib = helpers_mib = replica_mib = 0.0
    if resident.available():
        resident.begin_peak()
    try:
        begun = time.perf_counter()
        if resident.available():
            async with resident.HelperPeak() as helpers:
                await _sync(cluster, replica)
            helpers_mib = helpers.mib
            own_mib = resident.peak_mib(os.getpid())
            replica_mib = resident.peak_mib(replica.pid)
        else:
            await _sync(cluster, replica)
        took = time.perf_counter() - begun
    finally:
        stop_all([replica])
    again = await asyncio.to_thread(read_through_zstd, source)
    return {
        "fullsync": Measured(
            (through_s + again) / 2 / took,
            f"{took:.1f} s for {size(bed.scale.sync_bytes)}, zstd "
            f"{(through_s + again) / 2:.1f} s",
        ),
        "fullsync-master": _memory(own_mib + helpers_mib, f"{own_mib:.0f} the node"),
        "fullsync-replica": _memory(replica_mib, "its peak"),
    }


def _memory(mib: float, detail: str) -> Measured:
    if not mib:
        return Measured(None, "only Linux tells how much a process holds")
    return Measured(mib, detail)


async def _sync(cluster: Cluster, replica: NodeProcess) -> None:
    """From the replica's start until it has the master's rows, by a full sync."""
    replica.start()
    await asyncio.to_thread(replica.wait_until_up)
    await asyncio.to_thread(_wait_synced, replica)
    await follows(cluster.node, replica)


def _wait_synced(replica: NodeProcess) -> None:
    """Return once it has counted a full sync; raises NotDoneError if it does not."""
    deadline = time.monotonic() + FOLLOW_TIMEOUT_S
    with Remote(replica.url) as remote:
        while time.monotonic() < deadline:
            if remote.get("/replication/replica/stats")["full_syncs"]:
                return
            time.sleep(POLL_S)
    raise NotDoneError(f"{replica.name} made no full sync: {replica.last_words()}")


async def _busy(bed: Bed, cluster: Cluster, place: NodeProcess) -> Measured:
    """The rate of 64 clients before a full sync, and while one goes on."""
    before = await many_clients(cluster.node, 8 * bed.scale.commits)
    replica = NodeProcess("busy", bed.root, master=place)
    # A snapshot from before would be shared with this replica.
    for kept in (bed.root / "master" / "snapshots").iterdir():
        kept.unlink()
    rows, begun = 0, time.perf_counter()
    sync = asyncio.create_task(_sync(cluster, replica))
    try:
        while not sync.done():
            await many_clients(cluster.node, SLICE)
            rows += SLICE
        during = rows / (time.perf_counter() - begun)
        await sync
    finally:
        stop_all([replica])
    return Measured(during / before, f"{count(during)}/s, before {count(before)}/s")


def fill(path: Path, wanted_bytes: int) -> None:
    """Make a database of about this size."""
    connection = apsw.Connection(str(path))
    try:
        connection.pragma("synchronous", "off")
        connection.execute(SCHEMA)
        connection.execute(FILL, (wanted_bytes // ROW_BYTES,))
    finally:
        connection.close()


def read_through_zstd(path: Path) -> float:
    """Seconds to read the file through zstd at the level of snapshots."""
    begun = time.perf_counter()
    with path.open("rb") as source, Path(os.devnull).open("wb") as sink:
        zstandard.ZstdCompressor(level=LEVEL).copy_stream(source, sink)
    return time.perf_counter() - begun
