"""An engine goes on while masters die: no acknowledged row is lost, none is doubled."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, exc, insert
from sqlalchemy.ext.asyncio import create_async_engine
from typing_extensions import override

from e2e.cluster import Cluster, NodeProcess, fingerprints, master_of, wait_until
from e2e.test_failover import SYNC

KILLS = int(os.environ.get("CLIENT_KILLS", "2"))

PERHAPS_DONE = {"outcome_unknown", "node_stopped"}
"""Of the codes in the guide; after all others nothing has happened."""

GUIDE = (Path(__file__).parents[2] / "docs/guides/sqlalchemy.md").read_text()

KEPT = Table("kept", MetaData(), Column("n", Integer, primary_key=True))


class Writer(threading.Thread):
    """Inserts number after number, each in a transaction of its own, until stopped."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.acknowledged: list[int] = []
        self.tried = 0
        self.codes: Counter[str] = Counter()
        self.unknown: set[int] = set()
        self.unexpected: list[BaseException] = []
        self._url = url
        self._stopping = threading.Event()

    @override
    def run(self) -> None:
        engine = create_engine(self._url)
        while not self._stopping.is_set():
            with self.trying(), engine.begin() as connection:
                connection.execute(insert(KEPT).values(n=self.tried))
        engine.dispose()

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Note what becomes of the next number."""
        self.tried += 1
        try:
            yield
        except exc.OperationalError as error:
            code = getattr(error.orig, "code", "none")
            self.codes[code] += 1
            if code in PERHAPS_DONE:
                self.unknown.add(self.tried)
        except Exception as error:  # noqa: BLE001 - whatever it is fails the test
            self.unexpected.append(error)
        else:
            self.acknowledged.append(self.tried)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


class AsyncWriter(Writer):
    """The same by an engine for asyncio."""

    @override
    def run(self) -> None:
        asyncio.run(self._write())

    async def _write(self) -> None:
        engine = create_async_engine(self._url.replace("nexus:", "nexus+aio:"))
        while not self._stopping.is_set():
            with self.trying():
                async with engine.begin() as connection:
                    await connection.execute(insert(KEPT).values(n=self.tried))
        await engine.dispose()


def goes_on(writer: Writer) -> None:
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > before + 20, "rows are acknowledged")


@pytest.mark.timeout(300 + 30 * KILLS)
@pytest.mark.parametrize("kind", [Writer, AsyncWriter])
def test_an_engine_outlives_its_masters(cluster: Cluster, kind: type[Writer]) -> None:
    nodes = cluster.voters(settings=SYNC)
    master_of(nodes)
    addresses = ",".join(node.address for node in nodes)
    engine = create_engine(f"nexus://[{addresses}]/")
    KEPT.create(engine)
    writer = kind(f"nexus://[{addresses}]/")
    writer.start()
    try:
        for _ in range(KILLS):
            goes_on(writer)
            _kill_and_restart(nodes)
        goes_on(writer)
    finally:
        writer.stop()

    assert writer.unexpected == []
    assert all(f"`{code}`" in GUIDE for code in writer.codes), writer.codes
    with engine.connect() as connection:
        rows = connection.execute(KEPT.select()).scalars().all()
    engine.dispose()
    assert set(writer.acknowledged) <= set(rows)
    assert set(rows) <= set(writer.acknowledged) | writer.unknown
    hashes = fingerprints(nodes, master_of(nodes))
    assert hashes[0] == hashes[1] == hashes[2]


def _kill_and_restart(nodes: list[NodeProcess]) -> None:
    dead = master_of(nodes)
    dead.kill()
    master_of(nodes, but=dead)
    dead.start()
    wait_until(lambda: dead.status()["connected"], "the old master follows")
