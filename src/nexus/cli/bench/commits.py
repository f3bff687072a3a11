"""Commits of one row each, durable: many clients, one client."""

import asyncio
import statistics
from typing import Final

from nexus.cli.bench.bed import Bed, running
from nexus.cli.bench.load import Plain, many_clients, one_client
from nexus.cli.bench.report import Measured, median_ratio
from nexus.cli.terminal import count
from nexus.node.node import Node

CLIENTS_FACTOR: Final = 8
"""64 clients are so much faster: both sides of a pair should last about as long."""

Pairs = list[tuple[float, float]]


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `commits`."""
    plain = Plain(bed.root / "plain.db")
    try:
        bed.tell("commits of one client, no replica")
        async with running(bed.root / "alone", replicas=0) as cluster:
            alone = await _pairs_of_one(bed, cluster.node, plain)
        bed.tell("commits of 64 clients, two replicas following")
        async with running(bed.root / "followed", replicas=2) as cluster:
            many = await _pairs_of_many(bed, cluster.node, plain)
            bed.tell("commits of one client, two replicas following")
            followed = await _pairs_of_one(bed, cluster.node, plain)
    finally:
        plain.close()
    return {
        "commits-64": compared(many),
        "commits-1": compared(alone),
        "commits-1-followed": compared(followed),
    }


async def _pairs_of_one(bed: Bed, node: Node, plain: Plain) -> Pairs:
    pairs = []
    for _ in range(bed.scale.rounds):
        theirs = await asyncio.to_thread(plain.commits, bed.scale.commits)
        ours = await asyncio.to_thread(one_client, node, bed.scale.commits)
        pairs.append((ours, theirs))
    return pairs


async def _pairs_of_many(bed: Bed, node: Node, plain: Plain) -> Pairs:
    pairs = []
    for _ in range(bed.scale.rounds):
        theirs = await asyncio.to_thread(plain.commits, bed.scale.commits)
        ours = await many_clients(node, CLIENTS_FACTOR * bed.scale.commits)
        pairs.append((ours, theirs))
    return pairs


def compared(pairs: Pairs) -> Measured:
    """The ratio of these rates, and the rates themselves."""
    ours = statistics.median(pair[0] for pair in pairs)
    theirs = statistics.median(pair[1] for pair in pairs)
    return Measured(
        median_ratio(pairs), f"{count(ours)}/s, plain SQLite {count(theirs)}/s"
    )
