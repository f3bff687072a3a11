"""Named databases on three nodes: the plug is pulled, each has all that it was told."""

import sqlite3
import threading
from pathlib import Path

import pytest
from typing_extensions import override

import nexus
from e2e.cluster import Cluster, NodeProcess, master_of, wait_until
from nexus.cli import main

pytestmark = pytest.mark.timeout(400)

NAMES = ("orders", "users")
SETTINGS = {
    "NEXUS_DATABASES": ",".join(NAMES),
    "NEXUS_REPLICATION_MODE": "sync",
    "NEXUS_REPLICATION_HEARTBEAT_MS": "200",
}
ENOUGH = 30
"""Rows of each database before the master is killed, and again after it."""


class Writer(threading.Thread):
    """Writes numbers into one database, and keeps those that were acknowledged."""

    def __init__(self, nodes: list[NodeProcess], name: str) -> None:
        super().__init__(daemon=True)
        addresses = ",".join(node.address for node in nodes)
        self._url = f"nexus://{addresses}/{name}?timeout=60"
        self.acknowledged: list[int] = []
        self.ended = False
        self.error: BaseException | None = None

    @override
    def run(self) -> None:
        number = 0
        try:
            connection = nexus.connect(
                self._url, autocommit=True, check_same_thread=False
            )
            connection.execute("create table t(n integer primary key)")
            while not self.ended:
                number += 1
                connection.execute("insert into t values (?)", (number,))
                self.acknowledged.append(number)
        except BaseException as error:  # noqa: BLE001 - the test tells it
            self.error = error

    def goes_on(self) -> None:
        wanted = len(self.acknowledged) + ENOUGH
        wait_until(
            lambda: self.error is not None or len(self.acknowledged) >= wanted,
            f"{ENOUGH} more rows",
        )
        assert self.error is None, self.error


def masters(nodes: list[NodeProcess]) -> set[str]:
    """Who reigns, as each living node knows it of each database."""
    found = set()
    for node in nodes:
        if node.is_alive:
            for path in ("", *(f"/databases/{name}" for name in NAMES)):
                found.add(node.get(f"{path}/replication/status")["master_id"])
    return found


def file_of(node: NodeProcess, name: str) -> Path:
    return node.data_dir / "databases" / name / "nexus.db"


def rows(node: NodeProcess, name: str) -> list[int]:
    reader = sqlite3.connect(f"file:{file_of(node, name)}?mode=ro", uri=True)
    try:
        return [n for (n,) in reader.execute("select n from t order by n")]
    finally:
        reader.close()


def test_each_database_survives_the_loss_of_the_master(cluster: Cluster) -> None:
    nodes = cluster.voters(settings=SETTINGS)
    wait_until(lambda: len(masters(nodes)) == 1, "one master for all")
    master = master_of(nodes)
    writers = [Writer(nodes, name) for name in NAMES]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.goes_on()

    master.kill()
    for writer in writers:
        writer.goes_on()
    master.start()

    wait_until(lambda: len(masters(nodes)) == 1, "all databases have one master again")
    for writer, name in zip(writers, NAMES, strict=True):
        writer.ended = True
        writer.join()
        assert writer.error is None
        wait_until(
            lambda name=name, wanted=writer.acknowledged: all(  # type: ignore[misc]  # defaults bind the loop's values
                rows(node, name) == wanted for node in nodes
            ),
            f"every node has {name}",
        )


def test_a_write_to_a_replica_goes_to_its_own_database(cluster: Cluster) -> None:
    settings = {"NEXUS_DATABASES": "orders"}
    master = cluster.master(**settings)
    replica = cluster.replica(master, **settings)
    path = "/databases/orders"
    wait_until(
        lambda: replica.get(f"{path}/replication/status")["connected"], "connected"
    )
    statements = [
        {"sql": "create table t(n integer primary key)"},
        {"sql": "insert into t values (7)"},
    ]

    answer = replica.post(f"{path}/sql", {"statements": statements})

    assert answer.status_code == 200, answer.text
    wait_until(lambda: rows(replica, "orders") == [7], "it came back")
    assert rows(master, "orders") == [7]
    assert replica.get(f"{path}/databases") == {"databases": []}


def test_the_commands_take_the_path_of_a_database(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    master = cluster.master(NEXUS_DATABASES="orders")
    url = f"{master.url}/databases/orders"

    assert main(["sql", url, "create table t(n integer primary key)"]) == 0
    assert main(["sql", url, "insert into t values (7)"]) == 0
    assert main(["status", url, "--json"]) == 0
    told = capsys.readouterr().out
    assert (
        main(
            [
                "sql",
                str(master.data_dir / "databases" / "orders"),
                "select n from t",
                "--csv",
            ]
        )
        == 0
    )

    assert f'"{url}"' in told
    assert capsys.readouterr().out.split() == ["n", "7"]
