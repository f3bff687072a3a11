"""A master and a replica that know of each other, each without a database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from msgspec.structs import replace

from api.fake_node import FakeNode
from nexus.api.server import HttpServer
from nexus.model.cluster import Role

PATIENCE_S = 60.0


@dataclass
class Company:
    master: FakeNode
    replica: FakeNode
    at_master: httpx.AsyncClient
    at_replica: httpx.AsyncClient
    replica_server: HttpServer

    @property
    def replica_url(self) -> str:
        return self.replica_server.url


@asynccontextmanager
async def company(directory: Path) -> AsyncIterator[Company]:
    """Both serve their APIs; the ids are n1 and r1."""
    master, replica = FakeNode(directory), FakeNode(directory, replica=True)
    replica.node_id = "r1"
    async with (
        HttpServer(master, "127.0.0.1:0") as one,
        HttpServer(replica, "127.0.0.1:0") as other,
        httpx.AsyncClient(base_url=one.url, timeout=PATIENCE_S) as at_master,
        httpx.AsyncClient(base_url=other.url, timeout=PATIENCE_S) as at_replica,
    ):
        master.current = replace(master.current, master_url=one.url)
        master.replica_url = other.url
        replica.current = replace(
            replica.current,
            role=Role.REPLICA,
            node_id="r1",
            master_id="n1",
            master_url=one.url,
        )
        yield Company(master, replica, at_master, at_replica, other)
