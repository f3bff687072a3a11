"""Clusters that die, and what their archives bring back: real processes, a real S3."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from archive.buckets import S3, SECRET_KEY, serving_s3
from archive.keeping import MAX_SIZE, rows_in
from e2e.cluster import Cluster, NodeProcess, wait_until
from nexus.archive.opening import open_store
from nexus.archive.restoring import Moment, restore
from nexus.model.position import Offset

INTERVAL_MS = 100
GUIDE = Path(__file__).parents[2] / "docs/guides/backups.md"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A server of this test's own, and the environment that leads there."""
    with serving_s3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def archiving_to(url: object, **more: str) -> dict[str, str]:
    """The settings of a node that archives there."""
    return {
        "NEXUS_ARCHIVE_URL": str(url),
        "NEXUS_ARCHIVE_INTERVAL_MS": str(INTERVAL_MS),
        **more,
    }


def covers(node: NodeProcess, offset: int) -> None:
    """Return once the node's archive holds all up to this entry."""

    def is_whole() -> bool:
        archive: dict[str, Any] | None = node.status()["archive"]
        return archive is not None and archive["offset"] >= offset

    wait_until(is_whole, f"the archive holds entry {offset}")


class Load:
    """One client that inserts, and what it was told of each row."""

    def __init__(self, node: NodeProcess) -> None:
        self._node = node
        self.acknowledged: list[tuple[int, int]] = []
        """Offset and value, in order."""
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        value = 0
        while not self._ends.is_set():
            try:
                told = self._node.sql("insert into t(v) values (?)", value)
            except (httpx.HTTPError, AssertionError):
                return
            self.acknowledged.append((told["offset"], value))
            value += 1

    def end(self) -> None:
        """Insert no more."""
        self._ends.set()
        self._thread.join()


@pytest.mark.timeout(400)
def test_all_disks_lost_under_load_cost_no_more_than_what_was_not_archived(
    cluster: Cluster, s3: S3, tmp_path: Path
) -> None:
    url = f"s3://{s3.make_bucket()}/orders"
    settings = archiving_to(url, **s3.environment)
    master = cluster.master(**settings)
    replica = cluster.replica(master, **settings)
    master.sql("create table t(id integer primary key, v)")
    load = Load(master)
    wait_until(lambda: len(load.acknowledged) > 100, "there is some load")
    covered = load.acknowledged[-1][0]
    covers(master, covered)

    before = list(load.acknowledged)
    known: dict[str, Any] = master.status()["archive"]
    master.kill()
    replica.kill()
    load.end()
    for node in (master, replica):
        shutil.rmtree(node.data_dir)

    restored = restore(open_store(url), tmp_path / "back", Moment(), max_size=MAX_SIZE)
    rows = rows_in(tmp_path / "back")
    # What the archive said it had is there, in order and without a hole.
    assert restored.position.offset >= known["offset"]
    assert [v for _, v in rows] == list(range(len(rows)))
    missing = [value for offset, value in before if offset > restored.position.offset]
    assert len(missing) <= known["lag"]
    assert restored.position.offset >= covered
    assert SECRET_KEY not in master.log_text() + replica.log_text()


def failed_over(master: NodeProcess, replica: NodeProcess) -> None:
    """Kill a master under load; the replica reigns, and takes writes."""
    load = Load(master)
    wait_until(lambda: len(load.acknowledged) > 60, "there is some load")
    master.kill()
    load.end()
    wait_until(lambda: not replica.status()["connected"], "it has lost its master")
    assert replica.post("/replication/promote", {}).status_code == 200
    for number in range(30):
        replica.sql("insert into t(v) values (?)", f"after {number}")


def follows(replica: NodeProcess, master: NodeProcess) -> None:
    """Return once the replica has all that the master has."""
    last = master.status()["applied_offset"]
    wait_until(lambda: replica.status()["applied_offset"] >= last, "it follows")


@pytest.mark.timeout(400)
def test_a_master_killed_while_it_archives_is_followed_by_one_that_goes_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    arc = tmp_path / "an 'odd' archive; näme"
    settings = archiving_to(arc)
    master = cluster.master(**settings)
    replica = cluster.replica(master, **settings)
    master.sql("create table t(id integer primary key, v)")
    failed_over(master, replica)
    master.role, master.master_addr = "replica", replica.address
    master.start()
    follows(master, replica)
    failed_over(replica, master)
    covers(master, master.status()["applied_offset"])

    for name, moment in (("newest", Moment()), ("older", Moment(offset=Offset(40)))):
        restore(open_store(str(arc)), tmp_path / name, moment, max_size=MAX_SIZE)
    expected = master.rows("select * from t order by id")
    assert rows_in(tmp_path / "newest") == expected
    older = rows_in(tmp_path / "older")
    assert older == expected[: len(older)]
    assert older


def commands() -> list[str]:
    """The guide's commands that are marked to be run, in their order."""
    found: list[str] = re.findall(
        r"```sh\n(nexus (?:restore /mnt|backup).*?)```", GUIDE.read_text(), re.DOTALL
    )
    return [line for block in found for line in block.splitlines()]


@pytest.mark.timeout(400)
def test_the_guides_commands_do_what_it_says(cluster: Cluster, tmp_path: Path) -> None:
    arc = tmp_path / "arc"
    master = cluster.master(**archiving_to(arc, NEXUS_DATABASES="users"))
    master.sql("create table t(id integer primary key, v)")
    for number in range(20):
        master.sql("insert into t(v) values (?)", number)
    covers(master, 21)
    wait_until(lambda: any((arc / "users").rglob("*.snapshot")), "users are archived")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = commands()
    assert len(ran) >= 7

    number = 0
    for line in ran:
        # A named database is brought back into the directory of the main one.
        number += "--data restored/" not in line
        command = line.replace("/mnt/backups/orders", str(arc))
        command = command.replace("http://127.0.0.1:15474", master.url)
        command = command.replace("--data restored", f"--data restored-{number}")
        command = command.replace("2026-11-28T12:00:00Z", "2099-01-01")
        command = command.replace("--to-offset 4711", "--to-offset 11")
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"

    counts = [
        len(rows_in(made))
        for made in sorted(tmp_path.glob("restored-*"))
        if made.is_dir()
    ]
    assert sorted(counts) == [9, 20, 20, 20]
    assert list(tmp_path.glob("restored-*/databases/users/nexus.db"))
