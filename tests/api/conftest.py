"""Fixtures of the API's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.fake_node import FakeNode
from node.builders import Crowd, crowd_in


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    """A master."""
    return FakeNode(tmp_path)


@pytest.fixture
def replica(tmp_path: Path) -> FakeNode:
    return FakeNode(tmp_path, replica=True)


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    """A place for real nodes in this process; they stop with the test."""
    async with crowd_in(tmp_path) as crowd:
        yield crowd
