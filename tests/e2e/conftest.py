"""Fixtures of the tests with real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A place for node processes; all of them end with the test."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()
