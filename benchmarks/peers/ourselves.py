"""Nexus: the master in this process, as in `nexus bench`, two voters in theirs."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import apsw

import nexus
from nexus.cli.bench import bed
from nexus.cli.outcome import NotDoneError
from nexus.errors import NexusError
from nexus.node.requests import SqlRequest, SqlStatement
from peers.system import (
    CLIENTS,
    FOLLOW_TIMEOUT_S,
    LOAD_TIMEOUT_S,
    POLL_S,
    TEXT,
    Evidence,
    Ground,
)

QUORUM: Final = 2
"""The master and any one of its two replicas."""


class Nexus:
    """The system, while it runs; see `running`."""

    name = "Nexus"
    settings = (
        "three voters, replication.mode = sync: the master and one of two replicas, "
        "both synced; heartbeat 1 s, else the defaults; 64 tasks of the master's "
        "event loop"
    )

    def __init__(self, cluster: bed.Cluster) -> None:
        self._cluster = cluster
        self._durable_on_fewer = 0
        self.version = f"{nexus.__version__}, SQLite {apsw.sqlite_lib_version()}"

    async def commit(self, count: int) -> float:
        """`count` commits of 64 clients."""
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_S), asyncio.TaskGroup() as group:
                for _ in range(CLIENTS):
                    group.create_task(self._client(count // CLIENTS))
        except* (NexusError, TimeoutError) as errors:
            raise NotDoneError(f"Nexus: {errors.exceptions[0]}") from None
        return count / (time.perf_counter() - begun)

    async def _client(self, share: int) -> None:
        for number in range(share):
            request = SqlRequest([SqlStatement(bed.INSERT, [number, TEXT])])
            answer = await self._cluster.node.execute(request)
            if answer.durable_on < QUORUM:
                self._durable_on_fewer += 1

    async def evidence(self, rows: int) -> Evidence:
        """The replicas' rows, and what the answers told."""
        deadline = time.monotonic() + FOLLOW_TIMEOUT_S
        files = [replica.data_dir / "nexus.db" for replica in self._cluster.replicas]
        counted = tuple(map(rows_in, files))
        while min(counted) < rows and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
            counted = tuple(map(rows_in, files))
        return Evidence(
            counted,
            doubts(self._durable_on_fewer),
            f"every answer told durable_on ≥ {QUORUM}",
        )


def doubts(durable_on_fewer: int) -> tuple[str, ...]:
    """Why not all commits would have waited for a replica."""
    if not durable_on_fewer:
        return ()
    return (f"{durable_on_fewer:,} answers told of fewer than {QUORUM} durable nodes",)


def rows_in(database: Path) -> int:
    """How many rows another process reads in this file."""
    uri = f"file:{database}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        count: int = connection.execute("select count(*) from bench").fetchone()[0]
        return count


@asynccontextmanager
async def running(ground: Ground) -> AsyncIterator[Nexus]:
    """Three nodes from nothing; all are ended."""
    ground.tell("Nexus starts")
    async with bed.electing(ground.root, others=2) as cluster:
        yield Nexus(cluster)
