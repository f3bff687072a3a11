"""A bulk load in transactions of 1,000 rows, and when the last replica has it."""

import asyncio
import statistics
import time
from typing import Final

from nexus.cli.bench.bed import Bed, Cluster, running
from nexus.cli.bench.commits import compared
from nexus.cli.bench.load import Plain, bulk
from nexus.cli.bench.report import Measured
from nexus.cli.bench.sightings import Sightings, watching

ROUNDS: Final = 2
"""Each is long enough to need no more."""


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `bulk`."""
    rows, rounds = bed.scale.bulk_rows, min(ROUNDS, bed.scale.rounds)
    plain = Plain(bed.root / "plain.db")
    alone, pairs, extras = [], [], []
    try:
        async with running(bed.root / "alone", replicas=0) as cluster:
            for _ in range(rounds):
                bed.tell(f"bulk load of {rows:,} rows, plain SQLite and no replica")
                theirs = await asyncio.to_thread(plain.bulk, rows)
                ours = await asyncio.to_thread(bulk, cluster.node, rows)
                alone.append((ours, theirs))
        async with running(bed.root / "followed", replicas=2) as cluster:
            for number in range(rounds):
                bed.tell(f"bulk load of {rows:,} rows, plain SQLite")
                theirs = await asyncio.to_thread(plain.bulk, rows)
                bed.tell(f"bulk load of {rows:,} rows, two replicas following")
                ours, extra = await _load(cluster, rows, until=(number + 1) * rows)
                pairs.append((ours, theirs))
                extras.append(extra)
    finally:
        plain.close()
    return {
        "bulk": compared(pairs),
        "bulk-alone": compared(alone),
        "bulk-replicas": Measured(
            statistics.median(extras),
            f"{rows / statistics.median(ours for ours, _ in pairs):.2f} s the load",
        ),
    }


async def _load(cluster: Cluster, rows: int, *, until: int) -> tuple[float, float]:
    """Rows a second, and by how many percent longer the last replica took."""
    async with watching(cluster.replicas, until=until) as watches:
        begun = time.monotonic_ns()
        rate = await asyncio.to_thread(bulk, cluster.node, rows)
        ended = time.monotonic_ns()
        seen = [await asyncio.to_thread(watch.result) for watch in watches]
    return rate, percent_more(seen, begun=begun, ended=ended)


def percent_more(seen: list[Sightings], *, begun: int, ended: int) -> float:
    """How much longer than the load itself the last replica took; at least 0."""
    last = max(sightings[-1][0] for sightings in seen)
    return max(0.0, 100 * (last - ended) / (ended - begun))
