"""The database of a full sync, and what it is compared with."""

from contextlib import closing
from pathlib import Path

import pytest

from nexus.cli.bench.fullsync import fill, make_database, read_through_zstd
from nexus.model.position import ORIGIN
from nexus.storage.database import Database


def test_the_database_is_about_as_large_as_wanted(tmp_path: Path) -> None:
    fill(tmp_path / "source.db", 4_000_000)

    size = (tmp_path / "source.db").stat().st_size
    assert size == pytest.approx(4_000_000, rel=0.15)
    read_through_zstd(tmp_path / "source.db")


def test_a_database_that_stands_has_no_rows_yet(tmp_path: Path) -> None:
    make_database(tmp_path / "old")

    with closing(Database.open(tmp_path / "old" / "nexus.db")) as database:
        assert database.position == ORIGIN
