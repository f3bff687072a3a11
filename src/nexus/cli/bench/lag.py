"""Replica lag: from a client's answer until plain sqlite3 sees the row elsewhere."""

import asyncio
import statistics
import time
from bisect import bisect_left

from nexus.cli.bench.bed import Bed, running
from nexus.cli.bench.commits import CLIENTS_FACTOR
from nexus.cli.bench.load import CLIENTS, many_clients
from nexus.cli.bench.report import Measured
from nexus.cli.bench.sightings import Sightings, watching
from nexus.cli.terminal import count

Acknowledgements = list[tuple[int, int]]
"""(nanoseconds on the monotonic clock, id of the row)."""


async def measure(bed: Bed) -> dict[str, Measured]:
    """The line of the family `lag`."""
    clients_share = CLIENTS_FACTOR * bed.scale.rounds * bed.scale.commits // CLIENTS
    rows = max(1, clients_share) * CLIENTS
    acknowledged: Acknowledgements = []

    def note(row_id: int) -> None:
        acknowledged.append((time.monotonic_ns(), row_id))

    bed.tell("lag of two replicas under the load of 64 clients")
    async with (
        running(bed.root, replicas=2) as cluster,
        watching(cluster.replicas, until=rows) as watches,
    ):
        rate = await many_clients(cluster.node, rows, note)
        seen = [await asyncio.to_thread(watch.result) for watch in watches]
    lags = [lag for sightings in seen for lag in lags_ms(acknowledged, sightings)]
    cuts = statistics.quantiles(lags, n=100)
    return {
        "lag": Measured(
            cuts[98],
            f"median {cuts[49]:.1f} ms, most {max(lags):.0f} ms, {count(rate)}/s",
        )
    }


def lags_ms(acknowledged: Acknowledgements, sightings: Sightings) -> list[float]:
    """For each answer, how much later its row was seen; 0 if it was seen before."""
    highest = [seen for _, seen in sightings]
    return [
        max(0.0, (sightings[bisect_left(highest, row_id)][0] - answered) / 1e6)
        for answered, row_id in acknowledged
    ]
