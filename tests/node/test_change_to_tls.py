"""A running cluster changes over to TLS, node by node, and goes on writing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from certificates import Office
from e2e.cluster import free_port
from nexus.api.application import Application
from nexus.api.server import HttpServer
from nexus.model.position import Offset
from nexus.node.node import Node
from nexus.tls.contexts import client_context
from node.builders import PATIENCE_S, Crowd, count, run, until
from node.electing import master_among

Flags = dict[str, str]


@dataclass
class Member:
    """A voter, and its API on a port that stays."""

    crowd: Crowd
    name: str
    flags: Flags
    http: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")

    async def start(self, **tls: str) -> None:
        self.node: Node = await self.crowd.node(
            self.name, "replica", http_addr=self.http, **self.flags, **tls
        )
        self.server = HttpServer(self.node)
        await self.server.start()
        self.application = Application(self.node)
        transport = httpx.ASGITransport(self.application, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, verify=False)

    async def stop(self) -> None:
        self.application.close()
        await self.server.stop()
        await self.node.stop()

    async def takes_part(self) -> None:
        """Return once it reigns or follows."""

        def has_its_place() -> bool:
            status = self.node.status()
            reigns = status.master_id == status.node_id
            return bool(status.master_id) and (reigns or status.connected)

        await until(has_its_place)


@dataclass
class Writer:
    """Writes through one node after another; a replica passes it on to the master."""

    members: list[Member]
    written: int = 0
    ends: bool = False

    async def write(self) -> None:
        while not self.ends:
            body = {
                "statements": [{"sql": f"insert into t values ({self.written})"}],
                "transaction_id": f"w{self.written}",
            }
            member = self.members[self.written % len(self.members)]
            answer = await member.client.post("http://node/sql", json=body)
            if answer.status_code == 200:
                self.written += 1
            await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Return once each node has passed some more on."""
        before = self.written
        await until(lambda: self.written > before + 2 * len(self.members))


@asynccontextmanager
async def writing(members: list[Member]) -> AsyncIterator[Writer]:
    writer = Writer(members)
    task = asyncio.create_task(writer.write())
    try:
        yield writer
        assert not task.done()
    finally:
        writer.ends = True  # a request that is cancelled is answered all the same
        await task


async def begun(crowd: Crowd) -> list[Member]:
    """Three voters that speak plainly, with a table."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    members = [
        Member(
            crowd,
            f"n{number}",
            {
                "replication__bind_addr": address,
                "replication__peers": ",".join(addresses),
                "replication__mode": "sync",
            },
        )
        for number, address in enumerate(addresses)
    ]
    for member in members:
        await member.start()
    await run(await master_among([m.node for m in members]), "create table t(v unique)")
    return members


async def answers(url: str, office: Office) -> bool:
    context = client_context(office.nobody())
    async with httpx.AsyncClient(verify=context) as client:
        answer = await client.get(f"{url}/health")
    return answer.status_code == 200


async def test_a_cluster_changes_over_to_tls_node_by_node_under_writes(
    crowd: Crowd, tmp_path: Path
) -> None:
    office = Office.opened(tmp_path / "tls")
    files = office.node()
    tls = {
        "tls__cert_file": str(files.cert),
        "tls__key_file": str(files.key),
        "tls__ca_file": str(files.ca),
    }
    members = await begun(crowd)
    async with writing(members) as writer:
        await writer.goes_on()
        for mode, speaks in (("optional", ("http", "https")), ("required", ("https",))):
            for member in members:
                await member.stop()
                await member.start(**tls, tls__mode=mode)
                await member.takes_part()
                await writer.goes_on()
                for scheme in ("http", "https"):
                    url = f"{scheme}://{member.http}"
                    assert await answers(url, office) is (scheme in speaks)

    assert {member.server.url[:8] for member in members} == {"https://"}
    master = await master_among([member.node for member in members])
    end = Offset(master.status().commit_offset)
    for member in members:
        await member.node.wait_applied(end, timeout_s=PATIENCE_S)
        assert await count(member.node) == writer.written
    for member in members:
        await member.stop()
