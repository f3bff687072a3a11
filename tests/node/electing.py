"""Clusters of voters in this process, and clients that look for their master."""

import asyncio
import uuid
from typing import Any

from e2e.cluster import free_port
from nexus.errors import ClusterChangeError, NexusError
from nexus.node.node import Node
from nexus.node.operators.governing import Handover
from nexus.node.roles.reigning import Reigning
from node.builders import HEARTBEAT_MS, Crowd, run, until

CREATE = "create table t(a int)"


async def voters(crowd: Crowd, size: int = 3, **flags: Any) -> list[Node]:
    """Nodes with empty directories and the same list of peers."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(size)]
    return [
        await crowd.node(
            f"n{number}",
            flags.get("roles", {}).get(number, "replica"),
            replication__bind_addr=address,
            replication__peers=",".join(addresses),
            replication__mode=flags.get("mode", "sync"),
            replication__sync_timeout_ms=600_000,
            replication__apply_delay_ms=flags.get("delays", {}).get(number, 0),
            replication__max_log_size=flags.get("max_log_size", 1_000_000),
            replication__hold_size=flags.get("hold_size", 1 << 33),
            replication__heartbeat_ms=flags.get("heartbeat_ms", HEARTBEAT_MS),
            databases=flags.get("databases", ""),
        )
        for number, address in enumerate(addresses)
    ]


async def one_of_two(crowd: Crowd, **flags: Any) -> tuple[Node, str, str]:
    """A voter whose only peer is missing; its own address, and that one's."""
    own, other = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    node = await crowd.node(
        "n",
        "replica",
        replication__bind_addr=own,
        replication__peers=f"{own},{other}",
        **flags,
    )
    return node, own, other


async def master_among(nodes: list[Node]) -> Node:
    """The one that takes writes."""
    found: list[Node] = []

    def reigns() -> bool:
        found[:] = [
            node
            for node in nodes
            if isinstance(node._duties.acting, Reigning) and node._duties.acting.is_open
        ]
        return len(found) == 1

    await until(reigns)
    return found[0]


async def written(nodes: list[Node], sql: str) -> Node:
    """Write once on whoever is master, as a client that tries again does."""
    once = uuid.uuid4().hex
    while True:
        for node in nodes:
            try:
                await run(node, sql, transaction_id=once)
            except NexusError:
                await asyncio.sleep(0.01)
            else:
                return node


async def handed_over(master: Node, heir: Node) -> Handover:
    """Switch over once the heir follows; one that was too slow has changed nothing."""
    while True:
        try:
            return await master.switch_over(heir.node_id)
        except ClusterChangeError:
            await asyncio.sleep(0.05)
