"""A full sync beside reading the file through zstd: its time, memory and noise."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from nexus.cli.bench.report import Measured, median_ratio
from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote
from nexus.cli.terminal import count, size
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.importer import import_database

LEVEL: Final = 3
"""The default of `snapshot.compression_level`."""

FILL: Final = """
with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
insert into bench select i, i, hex(randomblob(250)) || ' as usual ' || i from n"""
"""Half of each row is noise, the other half is what hexadecimal digits repeat."""
ROW_BYTES: Final = 540

ROUNDS: Final = 3
"""Of each kind of full sync; the median of their ratios counts."""

SLICE: Final = 640
"""Commits between two looks at whether the full sync is done."""


@dataclass(frozen=True, slots=True)
class _Round:
    """The file read through zstd, and right after that a full sync."""

    zstd_s: float
    zstd_cpu_s: float
    sync_s: float
    master_cpu_s: float
    replica_cpu_s: float
    master_mib: float
    """With the process that packs."""
    replica_mib: float


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `fullsync`."""
    bed.tell(f"making a database of {size(bed.scale.sync_bytes)}")
    source = bed.root / "source.db"
    await asyncio.to_thread(fill, source, bed.scale.sync_bytes)
    master = bed.root / "master"
    await asyncio.to_thread(import_database, source, DataDirectory(master))
    async with running(bed.root, replicas=0) as cluster:
        place = NodeProcess("master", bed.root, master=None)
        place.bind_addr = cluster.node.config.replication.bind_addr
        new, standing = [], []
        for number in range(min(bed.scale.rounds, ROUNDS)):
            bed.tell("zstd, then a full sync of a new replica")
            new.append(await _round(bed, cluster, place, f"new-{number}"))
            bed.tell("zstd, then a full sync of one that has a database")
            old = bed.root / f"old-{number}"
            await asyncio.to_thread(make_database, old)
            standing.append(await _round(bed, cluster, place, old.name))
        bed.tell("full sync while 64 clients write")
        found = _lines(bed, new, standing)
        found["fullsync-writers"] = await _busy(bed, cluster, place)
    return found


def _lines(
    bed: Bed, new: Sequence[_Round], standing: Sequence[_Round]
) -> dict[str, Measured]:
    everything = (*new, *standing)
    return {
        "fullsync": _ratio(bed, new),
        "fullsync-standing": _ratio(bed, standing),
        "fullsync-master": _memory(r.master_mib for r in everything),
        "fullsync-replica": _memory(r.replica_mib for r in everything),
    }


def _ratio(bed: Bed, rounds: Sequence[_Round]) -> Measured:
    middle = sorted(rounds, key=lambda r: r.zstd_s / r.sync_s)[len(rounds) // 2]
    return Measured(
        median_ratio([(r.zstd_s, r.sync_s) for r in rounds]),
        f"{middle.sync_s:.1f} s for {size(bed.scale.sync_bytes)}, zstd "
        f"{middle.zstd_s:.1f} s; CPU {middle.master_cpu_s:.1f} s master, "
        f"{middle.replica_cpu_s:.1f} s replica, zstd {middle.zstd_cpu_s:.1f} s",
    )


def _memory(peaks: Iterable[float]) -> Measured:
    mib = max(peaks)
    if not mib:
        return Measured(None, "only Linux tells how much a process holds")
    return Measured(mib, "the highest peak of all rounds")


async def _round(bed: Bed, cluster: Cluster, place: NodeProcess, name: str) -> _Round:
    replica = NodeProcess(name, bed.root, master=place)
    _forget_snapshots(bed)
    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.to_thread(read_through_zstd, bed.root / "source.db")
    zstd_s, zstd_cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    if resident.available():
        resident.begin_peak()
    begun, cpu = time.perf_counter(), resident.cpu_with_helpers_s()
    try:
        async with resident.HelperPeak() as helpers:
            await _sync(cluster, replica)
        return _Round(
            zstd_s,
            zstd_cpu_s,
            sync_s=time.perf_counter() - begun,
            master_cpu_s=resident.cpu_with_helpers_s() - cpu,
            replica_cpu_s=resident.cpu_s(replica.pid),
            master_mib=resident.peak_mib(os.getpid()) + helpers.mib,
            replica_mib=resident.peak_mib(replica.pid),
        )
    finally:
        stop_all([replica])
        await asyncio.to_thread(shutil.rmtree, replica.data_dir)


def _forget_snapshots(bed: Bed) -> None:
    """One from before would be shared with the next replica."""
    for kept in (bed.root / "master" / "snapshots").iterdir():
        kept.unlink()


def make_database(root: Path) -> None:
    """A data directory with a database, of no cluster yet."""
    root.mkdir()
    Database.open(DataDirectory(root).database).close()


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
    """The rate of 64 clients while a full sync goes on, and before and after it."""
    before = await many_clients(cluster.node, 8 * bed.scale.commits)
    replica = NodeProcess("busy", bed.root, master=place)
    _forget_snapshots(bed)
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
    after = await many_clients(cluster.node, 8 * bed.scale.commits)
    return Measured(
        2 * during / (before + after),
        f"{count(during)}/s, before {count(before)}/s, after {count(after)}/s",
    )


def fill(path: Path, wanted_bytes: int) -> None:
    """Make a database of about this size."""
    connection = apsw.Connection(str(path))
    try:
        connection.pragma("synchronous", "off")
        connection.execute(SCHEMA)
        connection.execute(FILL, (wanted_bytes // ROW_BYTES,))
    finally:
        connection.close()


def read_through_zstd(path: Path) -> None:
    """Read the file through zstd at the level of snapshots, in one thread."""
    with path.open("rb") as source, Path(os.devnull).open("wb") as sink:
        zstandard.ZstdCompressor(level=LEVEL).copy_stream(source, sink)
