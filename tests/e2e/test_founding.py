"""An existing database becomes a cluster that survives the node it came from."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from e2e.cluster import (
    Cluster,
    acknowledged,
    caught_up,
    fingerprints,
    master_of,
    wait_until,
)
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.importer import import_database

CHINOOK = Path(__file__).parents[1] / "data" / "chinook.sqlite"
SYNC = {
    "NEXUS_REPLICATION_MODE": "sync",
}


def test_an_imported_database_founds_a_cluster_and_outlives_its_machine(
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    import_database(CHINOOK, DataDirectory(tmp_path / "n2"))
    nodes = cluster.voters(settings=SYNC)
    founder = nodes[1]
    assert master_of(nodes) is founder
    others = [node for node in nodes if node is not founder]
    offset = founder.status()["wal_offset"]
    for node in others:
        wait_until(partial(caught_up, node, offset), f"{node.url} has all")

    founder.kill()
    master_of(others)
    sql = "insert into Genre values (100, 'after the founder')"
    done = acknowledged(others, sql, "after the founder")

    assert done["durable_on"] == 2
    founder.start()
    wait_until(partial(caught_up, founder, done["offset"]), "the founder is back")
    first, *rest = fingerprints(nodes, master_of(nodes))
    assert all(one == first for one in rest)
    uri = f"file:{tmp_path / 'n2' / 'nexus.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as reader:
        (tracks,) = reader.execute("select count(*) from Track").fetchone()
        (genres,) = reader.execute("select count(*) from Genre").fetchone()
    assert (tracks, genres) == (3503, 26)
