"""`nexus bench` as a user runs it."""

import json
from pathlib import Path

import pytest

from cli.conftest import Run
from nexus.cli.bench.report import LINES


@pytest.mark.no_cover  # each family has tests of its own
@pytest.mark.timeout(1200)
def test_the_quick_run_measures_every_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    page = tmp_path / "page.md"

    ended = run("bench", "--quick", "--json", "--data", tmp_path, "--markdown", page)

    assert ended.status == 0, ended.error
    report = json.loads(ended.output)
    assert [line["id"] for line in report["lines"]] == [line.id for line in LINES]
    for line in report["lines"]:
        assert (
            line["measured"] is not None
            or "only Linux" in line["detail"]
            or ("wrk is missing" in line["detail"])
            or ("litestream is missing" in line["detail"])
        )
        assert (line["measured"] or 0) >= 0
    assert all(line.what in page.read_text(encoding="utf-8") for line in LINES)
    assert list(tmp_path.iterdir()) == [page]


def test_a_family_that_does_not_exist_is_wrong_usage(run: Run) -> None:
    ended = run("bench", "fast")

    assert ended.status == 2
    assert "commits, bulk, catchup" in " ".join(ended.error.split())
