from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.hrana.talk import Talk, talk_to
from nexus.node.node import Node
from node.builders import Crowd, crowd_in, run


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    """A place for nodes in this process; they stop with the test."""
    async with crowd_in(tmp_path) as crowd:
        yield crowd


@pytest.fixture
async def node(crowd: Crowd) -> Node:
    """A master with a table."""
    node = await crowd.node("a", limits__idle_transaction_ms=60_000)
    await run(node, "create table t(id integer primary key, v unique)")
    return node


@pytest.fixture
async def talk(node: Node) -> AsyncIterator[Talk]:
    """A client of its API."""
    async with talk_to(node) as talk:
        yield talk
