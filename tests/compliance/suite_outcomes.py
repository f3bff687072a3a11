"""What became of each test of the suite, in the file that NEXUS_OUTCOMES names."""

import json
import os
from pathlib import Path

import pytest

outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the worst that became of a test."""
    suite, _, name = report.nodeid.partition("::")[2].partition("::")
    key = f"{suite.partition('_sqlite+')[0]}.{name}"
    if report.failed:
        outcomes[key] = "failed"
    elif report.skipped or report.when == "call":
        outcomes.setdefault(key, report.outcome)


def pytest_sessionfinish() -> None:
    """Hand the outcomes over."""
    Path(os.environ["NEXUS_OUTCOMES"]).write_text(json.dumps(outcomes))
