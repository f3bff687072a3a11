"""An engine goes on while masters die: no acknowledged row is lost, none is doubled."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, exc, insert
from sqlalchemy.engine import Engine
from typing_extensions import override

from e2e.cluster import Cluster, NodeProcess, fingerprints, master_of, wait_until
from e2e.test_failover import SYNC

DEATHS = 3

GUIDE = (Path(__file__).parents[2] / "docs/guides/sqlalchemy.md").read_text()

KEPT = Table("kept", MetaData(), Column("n", Integer, primary_key=True))


class Writer(threading.Thread):
    """Inserts number after number, each in a transaction of its own, until stopped."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.acknowledged: list[int] = []
        self.tried = 0
        self.codes: set[str] = set()
        self.unexpected: list[BaseException] = []
        self._engine = engine
        self._stopping = threading.Event()

    @override
    def run(self) -> None:
        while not self._stopping.is_set():
            self.tried += 1
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(KEPT).values(n=self.tried))
            except exc.OperationalError as error:
                self.codes.add(getattr(error.orig, "code", "none"))
            except Exception as error:  # noqa: BLE001 - whatever it is fails the test
                self.unexpected.append(error)
            else:
                self.acknowledged.append(self.tried)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def goes_on(writer: Writer) -> None:
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > before + 20, "rows are acknowledged")


@pytest.mark.timeout(300)
def test_an_engine_outlives_its_masters(cluster: Cluster) -> None:
    nodes = cluster.voters(settings=SYNC)
    master_of(nodes)
    addresses = ",".join(node.address for node in nodes)
    engine = create_engine(f"nexus://[{addresses}]/")
    KEPT.create(engine)
    writer = Writer(engine)
    writer.start()
    try:
        for _ in range(DEATHS):
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
    assert set(writer.acknowledged) <= set(rows) <= set(range(1, writer.tried + 1))
    hashes = fingerprints(nodes, master_of(nodes))
    assert hashes[0] == hashes[1] == hashes[2]


def _kill_and_restart(nodes: list[NodeProcess]) -> None:
    dead = master_of(nodes)
    dead.kill()
    master_of(nodes, but=dead)
    dead.start()
    wait_until(lambda: dead.status()["connected"], "the old master follows")
