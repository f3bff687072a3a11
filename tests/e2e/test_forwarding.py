"""Writes through a replica while the master dies: each answer is true."""

import asyncio
from collections import Counter

import httpx
import pytest

from e2e.cluster import Cluster, NodeProcess, wait_until

pytestmark = pytest.mark.timeout(400)

LANES = 16
BEFORE_KILL = 200
"""Answers after which the master is killed."""


class Traffic:
    """Lanes that write numbers through one node, and what each was told."""

    def __init__(self, node: NodeProcess) -> None:
        self.node = node
        self.told: dict[int, int] = {}
        """The status of each number's one and only request."""
        self._enough = asyncio.Event()

    async def kill_in_the_middle(self, master: NodeProcess) -> None:
        """Write until the master has been killed and every lane has noticed it."""
        limits = httpx.Limits(max_connections=LANES)
        async with (
            httpx.AsyncClient(
                base_url=self.node.url, timeout=90.0, verify=False, limits=limits
            ) as client,
            asyncio.TaskGroup() as lanes,
        ):
            for lane in range(LANES):
                lanes.create_task(self._write(client, lane))
            await self._enough.wait()
            await asyncio.to_thread(master.kill)

    async def _write(self, client: httpx.AsyncClient, lane: int) -> None:
        """One number after another, none twice, until one is not acknowledged."""
        number = lane
        while self.told.get(number - LANES, 200) == 200:
            statement = {"sql": "insert into t(number) values (?)", "params": [number]}
            answer = await client.post("/sql", json={"statements": [statement]})
            self.told[number] = answer.status_code
            if len(self.told) >= BEFORE_KILL:
                self._enough.set()
            number += LANES

    def numbers(self, status: int) -> set[int]:
        return {number for number, told in self.told.items() if told == status}


async def test_a_killed_master_leaves_no_write_that_was_told_wrongly(
    cluster: Cluster,
) -> None:
    master = cluster.master()
    replica = cluster.replica(master)
    wait_until(lambda: replica.status()["connected"], "connected")
    replica.sql("create table t(number int)")
    traffic = Traffic(replica)

    await traffic.kill_in_the_middle(master)
    master.start()
    wait_until(lambda: replica.status()["connected"], "connected again")
    replica.sql("insert into t(number) values (-1)")

    kept = Counter(number for (number,) in master.rows("select number from t"))
    assert set(kept.values()) == {1}
    assert traffic.numbers(200) <= set(kept)
    assert not traffic.numbers(503) & set(kept)
    assert set(kept) <= traffic.numbers(200) | traffic.numbers(504) | {-1}
    assert len(traffic.numbers(503) | traffic.numbers(504)) == LANES
