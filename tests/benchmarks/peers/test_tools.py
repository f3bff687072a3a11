"""What the peers' clients print is read, and a failed command tells why."""

import os
import sys
from collections.abc import Callable

import pytest

from nexus.cli.outcome import NotDoneError
from peers import tools
from peers.tools import pairs, pgbench_rate, run, sysbench_rate

PGBENCH = """pgbench (15.18)
number of transactions actually processed: 12800/12800
number of failed transactions: 0 (0.000%)
latency average = 6.792 ms
initial connection time = 120.532 ms
tps = 9422.586824 (without initial connection time)
"""
SYSBENCH = """SQL statistics:
    transactions:                        12800  (5402.66 per sec.)
    queries:                             12800  (5402.66 per sec.)
"""


def test_the_rate_without_connecting_is_read() -> None:
    assert pgbench_rate(PGBENCH, 12_800) == 9422.586824
    assert sysbench_rate(SYSBENCH, 12_800) == 5402.66


@pytest.mark.parametrize("read", [pgbench_rate, sysbench_rate])
@pytest.mark.parametrize("output", [PGBENCH, SYSBENCH, ""])
def test_fewer_commits_than_asked_for_are_no_rate(
    read: Callable[[str, int], float], output: str
) -> None:
    with pytest.raises(NotDoneError, match="did not do 12801 commits"):
        read(output, 12_801)


def test_names_and_values_are_read_from_both_clients() -> None:
    assert pairs("s1\tquorum\ns2\tasync\n\nno value\n") == {
        "s1": "quorum",
        "s2": "async",
    }


def test_a_failed_command_says_why_in_its_own_words() -> None:
    with pytest.raises(NotDoneError, match="failed: no such table"):
        run([sys.executable, "-c", "raise SystemExit('no such table')"])


def test_a_command_that_does_not_end_is_ended() -> None:
    with pytest.raises(NotDoneError, match="took more than 0 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2)


def test_the_users_own_settings_reach_no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c synchronous_commit=off")

    shown = run([sys.executable, "-c", "import os; print(*os.environ)"])

    assert "PGOPTIONS" not in shown
    assert "LC_ALL" in shown


def test_what_is_missing_is_told_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tools, "PACKAGES", {"a-peer": "/nowhere/a-peer"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(NotDoneError, match="sudo apt-get install a-peer"):
        tools.require_packages()


def test_nothing_is_installed_where_all_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tools, "PACKAGES", {"python3": sys.executable})

    tools.require_packages()

    assert tools.missing_packages() == []
