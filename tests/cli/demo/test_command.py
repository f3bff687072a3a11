"""`nexus demo` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Run
from nexus.cli.demo.command import DEAD_S, Keeper, how_to_go_on
from nexus.cli.demo.processes import NodeProcess, clean_environment


def test_the_last_lines_tell_how_to_look_open_and_stop(tmp_path: Path) -> None:
    master = NodeProcess("node-1", tmp_path, master=None)
    replica = NodeProcess("node-2", tmp_path, master=None)

    lines = how_to_go_on([master, replica])

    assert f"sqlite3 'file:{tmp_path}/node-2/nexus.db?mode=ro'" in lines
    assert f"{master.url}/openapi.json" in lines
    assert f"{master.url}/metrics" in lines
    assert "Ctrl-C" in lines


def test_a_killed_node_is_started_again_after_a_while(tmp_path: Path) -> None:
    node = NodeProcess("master", tmp_path, master=None)
    keeper = Keeper([node])

    keeper.restart_the_dead(100.0)
    dead = node.pid
    keeper.restart_the_dead(100.0 + DEAD_S)
    started = node.pid
    keeper.restart_the_dead(200.0)
    same = node.pid
    node.kill()

    assert dead == 0
    assert started == same != 0


def test_json_without_once_is_wrong_usage(run: Run) -> None:
    assert run("demo", "--json").status == 2


@pytest.mark.timeout(240)
def test_once_kills_replica_and_master_and_ends_with_0_and_equal_tables(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nexus", "demo"),
            *("--once", "--json", "--replicas", "2", "--data", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
    summary = json.loads(done.stdout)
    assert summary["equal"] is True
    assert summary["invoices_sold"] > 0
    assert set(summary["acknowledged_and_lost"].values()) == {0}
    assert summary["entries_missed_by_the_killed_replica"] > 0
    failover = summary["failover"]
    assert failover["killed"] != failover["elected"]
    assert failover["elected_seconds"] <= failover["first_write_seconds"]
    assert summary["rejoin"]["node"] == failover["killed"]
    assert len(set(summary["invoices"].values())) == 1
    assert len(summary["nodes"]) == 3


@pytest.mark.timeout(240)
def test_a_signal_ends_the_demo_and_every_node_and_leaves_the_data(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [
            *(sys.executable, "-u", "-m", "nexus", "demo"),
            *("--replicas", "2", "--data", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as process:
        assert process.stdout is not None
        try:
            while not list(tmp_path.glob("node-3/nexus.db")):
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            output = process.stdout.read()
            process.wait()
        finally:
            process.kill()

    assert process.returncode in {0, 1}
    assert "Traceback" not in output
    assert (tmp_path / "node-1" / "nexus.db").exists()
    for name in ("node-1", "node-2", "node-3"):
        pid = int((tmp_path / name / "lock").read_text().split()[0])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
