"""Sightings, read as any program reads the file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nexus.cli.bench.bed import SCHEMA
from nexus.cli.bench.watcher import main, watch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nexus.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(SCHEMA)
        connection.execute("insert into bench values (7, 1, 'x')")
        connection.commit()
    return path


def test_it_ends_with_the_row_that_was_waited_for(file: Path) -> None:
    ((_, seen),) = watch(file, 7)

    assert seen == 7


def test_it_says_that_it_watches_before_it_tells(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(file), "5"]) == 0

    assert capsys.readouterr().out.startswith("ready\n[[")
