"""Fixtures of the node's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nexus.node.node import Node
from nexus.node.sqlstream import SqlStream
from node.builders import Crowd, Desk, crowd_in, open_desk, run


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


@pytest.fixture
async def node(crowd: Crowd) -> Node:
    """A master with a table, where transactions may idle for a minute."""
    node = await crowd.node("a", limits__idle_transaction_ms=60_000)
    await run(node, "create table t(id integer primary key, v unique)")
    return node


@pytest.fixture
async def stream(node: Node) -> AsyncIterator[SqlStream]:
    """A stream of statements on it."""
    stream = node.open_stream()
    yield stream
    stream.close()
