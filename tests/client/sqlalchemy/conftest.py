"""An engine on a node in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

import nexus


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose connections are those of a node in this process."""
    with nexus.open(
        tmp_path / "data",
        role="standalone",
        functions=["nexus.client.sqlalchemy.functions"],
    ) as node:
        engine = create_engine(
            "nexus://", creator=lambda: node.connect(check_same_thread=False)
        )
        yield engine
        engine.dispose()
