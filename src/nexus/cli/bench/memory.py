"""What a master holds in memory for a replica that does not keep up."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvloop

from nexus.cli.bench import resident
from nexus.cli.bench.bed import Bed, only_failures, running
from nexus.cli.bench.load import many_clients
from nexus.cli.bench.report import Measured

KINDS: Final = ("idle", "stopped", "slow")
HEARTBEAT_MS: Final = 600_000
"""So long that the master does not give the stopped replica up: it must bear it."""

AWAKE_S: Final = 0.05
ASLEEP_S: Final = 0.45


async def measure(bed: Bed) -> dict[str, Measured]:
    """The line of the family `memory`."""
    if not resident.available():
        reason = "only Linux tells how much a process holds"
        return {"memory": Measured(None, reason)}
    held: dict[str, float] = {}
    for kind in KINDS:
        bed.tell(
            f"memory of a master with {bed.scale.memory_entries:,} entries: {kind}"
        )
        held[kind] = await _in_its_own_process(bed, kind)
    return {
        "memory": Measured(
            max(held.values()) - min(held.values()),
            ", ".join(f"{kind} {mib:.0f} MiB" for kind, mib in held.items()),
        )
    }


async def _in_its_own_process(bed: Bed, kind: str) -> float:
    """A fresh process for each: memory that one left free would serve the next."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as processes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            processes, peak_of_master, bed.root / kind, kind, bed.scale.memory_entries
        )


def peak_of_master(root: Path, kind: str, entries: int) -> float:
    """MiB at most of a master that writes `entries` beside such a replica."""
    only_failures()
    return uvloop.run(_peak_of_master(root, kind, entries))


async def _peak_of_master(root: Path, kind: str, entries: int) -> float:
    async with (
        running(root, replicas=1, replication__heartbeat_ms=HEARTBEAT_MS) as cluster,
        _hampered(cluster.replicas[0].pid, kind),
    ):
        await many_clients(cluster.node, entries)
        return resident.peak_mib(os.getpid())


@asynccontextmanager
async def _hampered(pid: int, kind: str) -> AsyncIterator[None]:
    """A replica that follows (`idle`), is stopped, or runs a tenth of the time."""
    nap = asyncio.create_task(_nap(pid)) if kind == "slow" else None
    if kind == "stopped":
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if nap is not None:
            nap.cancel()
            await asyncio.gather(nap, return_exceptions=True)
        os.kill(pid, signal.SIGCONT)


async def _nap(pid: int) -> None:
    while True:
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(ASLEEP_S)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(AWAKE_S)
