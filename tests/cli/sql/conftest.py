"""A small database that the shell's tests read."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from nexus.cli.sources import FileSource


@pytest.fixture
def source(tmp_path: Path) -> Iterator[FileSource]:
    """A data directory with artists, albums and something of Nexus's own."""
    connection = apsw.Connection(str(tmp_path / "nexus.db"))
    connection.execute(
        "create table artists (id integer primary key, name);"
        "create table albums (id integer primary key, artist_id, title);"
        "create view long_titles as select title from albums;"
        "create table nexus_position (id);"
        "insert into artists values (1, 'Bach'), (2, null)"
    )
    connection.close()
    source = FileSource(tmp_path)
    yield source
    source.close()
