"""Fixtures of the storage's tests; a module adds to them what it needs."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from storage.pair import Pair


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    """A database in memory."""
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A master's database with its log, and a replica's."""
    with Pair(tmp_path) as pair:
        yield pair
