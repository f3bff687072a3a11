"""How fast a replica that was away applies what it missed."""

import asyncio
from typing import Final

from nexus.cli.bench.bed import Bed, Cluster, follows, running
from nexus.cli.bench.load import CLIENTS, bulk, many_clients
from nexus.cli.bench.report import Measured
from nexus.cli.bench.sightings import Sightings, watching
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import count

ENTRIES_SHARE: Final = 10
"""Of single-row entries a tenth as many: the master needs that much longer."""


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `catchup`."""
    rows = bed.scale.catchup_rows
    entries = max(1, rows // ENTRIES_SHARE // CLIENTS) * CLIENTS
    async with running(bed.root, replicas=1) as cluster:
        bed.tell(f"catching up with {rows:,} rows in transactions of 1,000")
        await _away(cluster)
        await asyncio.to_thread(bulk, cluster.node, rows)
        row_rate = await _return(cluster, until=rows)
        bed.tell(f"catching up with {entries:,} entries of one row")
        await _away(cluster)
        written = await many_clients(cluster.node, entries)
        entry_rate = await _return(cluster, until=rows + entries)
    return {
        "catchup-rows": Measured(row_rate, "transactions of 1,000 rows"),
        "catchup-entries": Measured(
            entry_rate / written,
            f"{count(entry_rate)}/s, the master wrote {count(written)}/s",
        ),
    }


async def _away(cluster: Cluster) -> None:
    replica = cluster.replicas[0]
    await follows(cluster.node, replica)
    replica.ask_to_stop()
    if not await asyncio.to_thread(replica.wait_stopped):
        raise NotDoneError(f"{replica.name} did not stop: {replica.last_words()}")


async def _return(cluster: Cluster, *, until: int) -> float:
    """Start it again; rows a second, as a reader of its file sees them come."""
    replica = cluster.replicas[0]
    async with watching([replica], until=until) as (watch,):
        replica.start()
        sightings = await asyncio.to_thread(watch.result)
    await asyncio.to_thread(replica.wait_until_up)
    return rate(sightings)


def rate(sightings: Sightings) -> float:
    """Rows a second from the first batch that was seen to come, to the last.

    The first sighting is what stood there before. A catch-up in a single batch has no
    duration of its own: the time of its one batch is counted from before the start.
    """
    begin = sightings[1] if len(sightings) > 2 else sightings[0]  # noqa: PLR2004
    end = sightings[-1]
    return (end[1] - begin[1]) / max(1, end[0] - begin[0]) * 1e9
