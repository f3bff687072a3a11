"""The demonstration that ends by itself: what its summary says."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from nexus.cli.demo.failover import Timeline
from nexus.cli.demo.once import Return, Summary, invoices_in, print_summary
from nexus.cli.demo.processes import CHINOOK


def summary(**changes: Any) -> Summary:
    prints = {"schema": "5c", "tables": {"Invoice": {"rows": 9, "hash": "aa"}}}
    values: dict[str, Any] = {
        "sold": 5,
        "replica": Return("node-3", 2, 0.5),
        "failover": Timeline("node-1", "node-2", 0.1, 0.6, 0.7, 3),
        "master": Return("node-1", 4, 0.8, rewound=True),
        "offset": 41,
        "found": {"http://a:1": prints, "http://b:1": prints},
        "invoices": {"master": 9, "replica-1": 9},
        "lost": {"master": 0, "replica-1": 0},
    }
    return Summary(**(values | changes))


def test_equal_nodes_have_no_differences(capsys: pytest.CaptureFixture[str]) -> None:
    told = summary()

    print_summary(told)

    output = capsys.readouterr().out
    assert told.faults == []
    assert told.document()["equal"] is True
    assert "missed 2 entries, and had them 0.50 s after its restart" in output
    assert "node-2 elected after 0.60 s, first sale after 0.70 s" in output
    assert "node-1 took back what only it had, had the 4 entries it missed" in output
    assert told.document()["failover"]["elected_seconds"] == 0.6
    assert told.document()["rejoin"]["rewound"] is True
    assert "sqlite3   counts these invoices: master 9, replica-1 9\n" in output
    assert output.endswith(
        "every acknowledged sale is on every node, and every table equal\n"
    )


def test_another_hash_is_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    other = {"schema": "5c", "tables": {"Invoice": {"rows": 9, "hash": "bb"}}}
    told = summary(found=summary().found | {"http://b:1": other})

    print_summary(told)

    assert told.different == ["Invoice"]
    assert told.document()["different"] == ["Invoice"]
    assert told.faults == ["Invoice: not the same on every node"]
    assert "verified" not in capsys.readouterr().out


def test_nodes_that_are_equal_may_have_lost_a_sale(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = summary(lost={"master": 2, "replica-1": 0})

    print_summary(told)

    assert told.different == []
    assert told.faults == ["2 acknowledged sales are not on master"]
    assert told.document()["acknowledged_and_lost"] == {"master": 2, "replica-1": 0}
    assert "verified" not in capsys.readouterr().out


def test_what_sqlite3_counts_must_agree_as_well() -> None:
    told = summary(invoices={"master": 9, "replica-1": 8})

    assert told.different == ["Invoice (read by sqlite3)"]


def test_invoices_are_read_by_plain_sqlite3(tmp_path: Path) -> None:
    shutil.copy(CHINOOK, tmp_path / "nexus.db")

    assert invoices_in(tmp_path) == set(range(1, 413))
