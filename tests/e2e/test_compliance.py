"""SQLAlchemy's own compliance suite, on three nodes as on SQLite."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster import Cluster, fingerprints, master_of

SUITE = Path(__file__).parents[1] / "compliance"

SETTINGS = {
    "NEXUS_REPLICATION_MODE": "sync",
    # The suite does nothing again that a failover has ended: nobody is to be dead while
    # the machine stands still.
    "NEXUS_REPLICATION_MISSED_HEARTBEATS": "50",
    "NEXUS_FUNCTIONS": "nexus.client.sqlalchemy.functions",
}


def outcomes_of(url: str, directory: Path) -> dict[str, str]:
    """What becomes of each test of the suite there."""
    directory.mkdir()
    told = directory / "outcomes.json"
    # The dialect has tests of its own that cover it; here it would cost twice the time.
    untraced = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=short", "--dburi", url),
            *("-c", SUITE / "pytest.ini", "--rootdir", SUITE, SUITE / "suite.py"),
        ],
        env=untraced | {"PYTHONPATH": str(SUITE), "NEXUS_OUTCOMES": str(told)},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    outcomes: dict[str, str] = json.loads(told.read_text())
    return outcomes


def passed(outcomes: dict[str, str]) -> set[str]:
    return {test for test, outcome in outcomes.items() if outcome == "passed"}


PAIRS = {
    "sync": ("sqlite", "nexus", 1597),
    "aio": ("sqlite+aiosqlite", "nexus+aio", 1611),
}
"""SQLite's dialect, ours, and how many tests of the suite it passes at least."""

CHOSEN = os.environ.get("COMPLIANCE", "sync").split(",")
"""`make compliance` runs both; `make test` has the time for one."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("theirs", "ours", "least"), [PAIRS[name] for name in CHOSEN])
def test_what_sqlite_passes_of_the_suite_a_cluster_passes(
    cluster: Cluster, tmp_path: Path, theirs: str, ours: str, least: int
) -> None:
    nodes = cluster.voters(settings=SETTINGS)
    master = master_of(nodes)
    addresses = ",".join(node.address for node in nodes)

    on_sqlite = outcomes_of(f"{theirs}:///base.db", tmp_path / "sqlite")
    on_nexus = outcomes_of(
        f"{ours}://[{addresses}]/?foreign_keys=off", tmp_path / "nexus"
    )

    assert len(passed(on_sqlite)) >= least, "as many as SQLAlchemy's own set-up passes"
    assert passed(on_sqlite) - passed(on_nexus) == set()
    hashes = fingerprints(nodes, master)
    assert hashes[0] == hashes[1] == hashes[2]
