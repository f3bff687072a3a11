"""The commands of the guide to a delayed replica, run against two nodes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster import Cluster, NodeProcess, wait_until

GUIDE = Path(__file__).parents[2] / "docs/guides/delayed-replica.md"
HOUR = {"NEXUS_REPLICATION_APPLY_DELAY_MS": "3600000"}
NAMES = ("Ada", "Bo; 'O' -- x", "Cy")


@pytest.fixture
def commands() -> list[str]:
    """The guide's commands, in their order."""
    found: list[str] = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(found) == 7
    return found


def ran(command: str, nodes: dict[str, str], directory: Path) -> str:
    """What a command of the guide prints, run as a shell runs it."""
    for name, own in nodes.items():
        command = command.replace(name, own)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def customers(node: NodeProcess) -> list[str]:
    return [name for (name,) in node.rows("select name from customers order by id")]


@pytest.mark.timeout(600)
def test_the_guide_brings_the_rows_back(
    cluster: Cluster, commands: list[str], tmp_path: Path
) -> None:
    master = cluster.master()
    late = cluster.replica(master, "data-late", **HOUR)
    master.sql("create table customers(id integer primary key, name text)")
    for name in NAMES:
        master.sql("insert into customers(name) values (?)", name)
    nodes = {
        "http://127.0.0.1:15474": master.url,
        "http://127.0.0.1:15476": late.url,
        "data-late": str(late.data_dir),
    }
    delete, pause, find, until, copy, go_on, now = commands

    ran(delete, nodes, tmp_path)
    assert customers(master) == []
    ran(pause, nodes, tmp_path)
    changes = [json.loads(line) for line in ran(find, nodes, tmp_path).splitlines()]
    deletes = [change for change in changes if change["op"] == "delete"]
    offset = deletes[0]["offset"]
    wait_until(lambda: late.status()["durable_offset"] >= offset, "it has come")
    ran(until, nodes | {"1233": str(offset - 1)}, tmp_path)
    wait_until(lambda: late.status()["applied_offset"] == offset - 1, "applied")
    ran(copy, nodes, tmp_path)
    ran(go_on, nodes, tmp_path)

    assert customers(master) == customers(late) == list(NAMES)
    wait_until(lambda: late.status()["lag"] == 0, "it has received all")
    status = late.status()
    assert not status["paused"]
    assert status["held_back"] > 0
    assert late.get("/ready?max_lag=0")["status"] == "ok"
    ran(now, nodes, tmp_path)
    end = master.status()["durable_offset"]
    wait_until(lambda: late.status()["applied_offset"] == end, "all is applied")
