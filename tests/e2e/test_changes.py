"""Consumers of changes while masters die: nothing is missing, nothing comes twice."""

import asyncio
import subprocess
import sys
import threading
from contextlib import closing
from typing import Any

import pytest
from typing_extensions import override

import nexus
from e2e.cluster import CLIENT, Cluster, NodeProcess, master_of, wait_until
from e2e.test_failover import SYNC, check_equal, goes_on, under_load
from nexus.errors import NodeUnreachableError

KILLS = 2
PLACE = (
    """select epoch || ':' || "offset" || '@' || history_id as place """
    "from nexus_position"
)


class Reader(threading.Thread):
    """Reads all changes, from whoever gives them."""

    def __init__(self, nodes: list[NodeProcess]) -> None:
        super().__init__(daemon=True)
        self.found: list[nexus.Change] = []
        self.read_nodes: list[str] = []
        self.error: BaseException | None = None
        self._feed = nexus.changes(
            [node.url for node in nodes], since=0, heartbeat=0.5, timeout=60
        )

    @override
    def run(self) -> None:
        try:
            for change in self._feed:
                self.found.append(change)
                if self._feed.url not in self.read_nodes[-1:]:
                    self.read_nodes.append(self._feed.url)
        except NodeUnreachableError as error:
            self.error = error

    def has_read(self, offset: int) -> bool:
        """Whether it is as far."""
        assert self.error is None, self.error
        return bool(self.found) and self.found[-1].offset >= offset


def whole_feed(node: NodeProcess, until: int) -> list[nexus.Change]:
    """What one node tells by now."""
    with nexus.changes(node.url, since=0, until=until) as feed:
        return list(feed)


@pytest.mark.timeout(400)
def test_a_reader_over_killed_masters_misses_nothing_and_gets_nothing_twice(
    cluster: Cluster,
) -> None:
    nodes = cluster.voters(settings=SYNC)
    master, ledger = under_load(nodes)
    reader = Reader(nodes)
    reader.start()
    for _ in range(KILLS):
        wait_until(lambda: len(reader.found) > 0, "the reader reads")
        reading = next(node for node in nodes if node.url == reader.read_nodes[-1])
        # Both the master and whoever the reader reads from.
        for victim in {reading.url: reading, master.url: master}.values():
            victim.kill()
            if victim is master:
                goes_on(ledger)
            victim.start()
        master = master_of(nodes)
        goes_on(ledger)
    check_equal(nodes, ledger)
    last = whole_feed(master, master.status()["applied_offset"])
    wait_until(lambda: reader.has_read(last[-1].offset), "the reader has all")

    places = [(change.offset, change.index) for change in reader.found]
    assert places == sorted(set(places))
    for node in nodes:
        assert whole_feed(node, last[-1].offset) == reader.found[: len(last)]
    assert len(set(reader.read_nodes)) > 1


def test_rows_and_place_of_one_request_are_where_the_feed_goes_on(
    cluster: Cluster,
) -> None:
    node = cluster.master()
    node.sql("create table t(id integer primary key, v)")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            node.sql("insert into t values (?, ?)", number, "x" * number)
            node.sql("update t set v = v || 'y' where id % 3 = ?", number % 3)

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: node.rows("select count(*) from t")[0][0] > 5, "it writes")
    statements = [{"sql": PLACE}, {"sql": "select * from t"}]
    told = CLIENT.post(f"{node.url}/sql", json={"statements": statements}).json()
    (place, rows) = (result["rows"] for result in told["results"])
    folded: dict[int, Any] = dict(rows)
    more = len(folded) + 5
    wait_until(lambda: node.rows("select count(*) from t")[0][0] > more, "it writes on")
    stop.set()
    writer.join()

    assert len(folded) > 5
    with nexus.changes(node.url, since=place[0][0], follow=False) as feed:
        for change in feed:
            assert change.key is not None
            assert isinstance(change.new, dict)
            folded[change.key["id"]] = change.new["v"]
    assert folded == dict(node.rows("select * from t"))


async def changes_for_tasks(node: NodeProcess, since: Any) -> list[nexus.Change]:
    connection = await nexus.aio.connect(f"nexus://{node.address}")
    async with connection.changes(since=since, follow=False) as feed:
        found = [change async for change in feed]
    await connection.close()
    return found


def test_a_connection_reads_the_feed_of_its_cluster(cluster: Cluster) -> None:
    node = cluster.master()
    node.sql("create table t(id integer primary key, v)")

    with (
        closing(nexus.connect(f"nexus://{node.address}")) as far,
        closing(nexus.connect(node.data_dir)) as near,
    ):
        with far:
            far.execute("insert into t values (1, ?)", (b"\0",))
        (insert,) = far.changes(since=2, follow=False, tables=["t"])
        node.sql("update t set v = 1.5")
        (update,) = near.changes(since=far.last_position, follow=False)
        awaited = asyncio.run(changes_for_tasks(node, far.last_position))

    assert awaited == [update]
    assert insert.new == {"id": 1, "v": b"\0"}
    assert (update.old, update.new) == ({"v": b"\0"}, {"v": 1.5})


def test_the_command_prints_the_feed_and_ends_with_whoever_reads_it(
    cluster: Cluster,
) -> None:
    node = cluster.master()
    node.sql("create table t(id integer primary key)")
    node.sql("insert into t select value from json_each('[1,2,3,4,5,6,7,8,9]')")
    command = [sys.executable, "-m", "nexus", "changes", node.url, "--since", "0"]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b'"op":"schema"' in process.stdout.readline()
        assert b'"key":{"id":1}' in process.stdout.readline()
        process.stdout.close()
        for number in range(10, 3_000):
            node.sql("insert into t values (?)", number)
            if process.poll() is not None:
                break
        assert process.wait(60) == 0
        assert process.stderr.read() == b""
