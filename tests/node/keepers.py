"""Nodes in this process under a real etcd, one cluster a prefix."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.etcd import Etcd, running_etcd
from nexus.model.cluster import LinkState, Role
from nexus.node.etcd.holding import Keyholding
from nexus.node.node import Node
from node.builders import Crowd, crowd_in, until


class Keepers:
    """Makes nodes that belong to one cluster."""

    def __init__(self, crowd: Crowd, etcd: Etcd, prefix: str) -> None:
        self._crowd = crowd
        self.flags: dict[str, Any] = {
            "replication__missed_heartbeats": 30,
            "replication__coordinator": "etcd",
            "replication__etcd_endpoints": etcd.endpoints,
            "replication__etcd_prefix": prefix,
            "replication__mode": "sync",
            "replication__sync_timeout_ms": 600_000,
        }

    async def node(self, name: str, role: str = "replica", **flags: Any) -> Node:
        return await self._crowd.node(name, role, **{**self.flags, **flags})

    async def pair(self) -> tuple[Node, Node]:
        """A master that takes writes, and a replica that is in the list."""
        first = await self.node("a", "master")
        second = await self.node("b")
        await until(lambda: opened(first))
        await until(lambda: listed(first) == {first.node_id, second.node_id})
        return first, second


def holding(node: Node) -> Keyholding:
    duty = node._duties.duty
    assert isinstance(duty, Keyholding)
    return duty


def opened(node: Node) -> bool:
    """Whether clients may write there."""
    return holding(node)._opened.is_set()


def listed(node: Node) -> set[str]:
    synced = holding(node).leadership.keys.synced
    return set(synced.nodes) if synced else set()


def streams(node: Node) -> bool:
    status = node.status()
    return status.role is Role.REPLICA and status.state is LinkState.STREAMING


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    directory: Path = tmp_path_factory.mktemp("real") / "etcd"
    with running_etcd(directory) as running:
        yield running


@pytest.fixture
async def keepers(
    tmp_path: Path, etcd: Etcd, request: pytest.FixtureRequest
) -> AsyncIterator[Keepers]:
    async with crowd_in(tmp_path) as crowd:
        yield Keepers(crowd, etcd, f"/{request.node.name}")
