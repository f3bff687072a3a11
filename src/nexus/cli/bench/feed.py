"""How fast the change feed is read: what a consumer that was away catches up with."""

import asyncio
import time
from typing import Final

import httpx

from nexus.cli.bench.bed import SCHEMA, TEXT, Bed
from nexus.cli.bench.report import Measured
from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote

A_TRANSACTION: Final = 1_000

FILL: Final = (
    "insert into bench(number, text) with recursive n(i) as "
    "(select 1 union all select i + 1 from n where i < ?) select i, ? from n"
)


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `changes`."""
    node = NodeProcess("master", bed.root, master=None)
    try:
        node.start()
        await asyncio.to_thread(node.wait_until_up)
        bed.tell("rows for the change feed")
        rows = max(A_TRANSACTION, bed.scale.catchup_rows // 5)
        await asyncio.to_thread(fill, node.url, rows)
        bed.tell("GET /changes from the first entry")
        return {"changes": await asyncio.to_thread(read, node.url, rows)}
    finally:
        stop_all([node])


def fill(url: str, rows: int) -> None:
    """Write so many rows, in transactions of a thousand."""
    insert = {"sql": FILL, "params": [A_TRANSACTION, TEXT]}
    with Remote(url) as remote:
        remote.post("/sql", {"statements": [{"sql": SCHEMA}]})
        for _ in range(rows // A_TRANSACTION):
            remote.post("/sql", {"statements": [insert]})


def read(url: str, rows: int) -> Measured:
    """Read all there is as lines, and count them; raises NotDoneError if any lacks."""
    lines = size = 0
    begun = time.monotonic()
    query: dict[str, str | int] = {"from": 1, "follow": "false"}
    with httpx.stream("GET", f"{url}/changes", params=query, trust_env=False) as answer:
        for piece in answer.iter_raw():
            lines += piece.count(b"\n")
            size += len(piece)
    seconds = time.monotonic() - begun
    if lines < rows:
        raise NotDoneError(f"the feed told {lines} of {rows} changes; see {url}'s log")
    return Measured(lines / seconds, f"{lines:,} changes, {size / 1e6:.0f} MB of JSON")
