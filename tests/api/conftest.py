from pathlib import Path

import pytest

from api.fake_node import FakeNode


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    """A master."""
    return FakeNode(tmp_path)


@pytest.fixture
def replica(tmp_path: Path) -> FakeNode:
    return FakeNode(tmp_path, replica=True)
