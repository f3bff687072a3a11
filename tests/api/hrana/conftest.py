from collections.abc import AsyncIterator

import pytest

from api.hrana.talk import Talk, talk_to
from nexus.api.server import HttpServer
from nexus.node.node import Node
from node.builders import Crowd, run


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


@pytest.fixture
async def server(node: Node) -> AsyncIterator[HttpServer]:
    """Where its API is served."""
    async with HttpServer(node, "127.0.0.1:0") as server:
        yield server
