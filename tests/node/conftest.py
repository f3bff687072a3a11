"""Fixtures of the node's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from node.builders import Crowd, Desk, crowd_in, open_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A database and its log, empty."""
    desk = open_desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    """A place for nodes in this process; they stop with the test."""
    async with crowd_in(tmp_path) as crowd:
        yield crowd
