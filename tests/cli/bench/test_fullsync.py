"""The database of a full sync, and what it is compared with."""

from pathlib import Path

import pytest

from nexus.cli.bench.fullsync import fill, read_through_zstd


def test_the_database_is_about_as_large_as_wanted(tmp_path: Path) -> None:
    fill(tmp_path / "source.db", 4_000_000)

    size = (tmp_path / "source.db").stat().st_size
    assert size == pytest.approx(4_000_000, rel=0.15)
    assert read_through_zstd(tmp_path / "source.db") > 0
