"""Elected clusters under every fault: no promise is lost, and one master an epoch."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.cluster import (
    CLIENT,
    Cluster,
    NodeProcess,
    fingerprints,
    master_of,
    wait_until,
)
from e2e.faults import HEARTBEAT_MS, LOG_ENTRIES, Scene, deck
from e2e.ledger import SCHEMA, Lane, Promise, Row, check_kept, state
from e2e.namespaces import networked
from e2e.test_crash import ROUNDS, SEED
from e2e.test_rejoin import verified

SETTINGS: Final = {
    "NEXUS_INSECURE": "true",
    "NEXUS_REPLICATION_MODE": "sync",
    "NEXUS_REPLICATION_HEARTBEAT_MS": str(HEARTBEAT_MS),
    "NEXUS_REPLICATION_MISSED_HEARTBEATS": "3",
    "NEXUS_REPLICATION_SYNC_TIMEOUT_MS": "1000",
    "NEXUS_REPLICATION_MAX_LOG_SIZE": str(LOG_ENTRIES),
}
LANES: Final = 4
"""Clients; half of them ask the nodes directly, half have replicas pass writes on."""

PAUSE_S: Final = 0.015
"""Between two writes of a client, so that ids are not forgotten while one hangs."""

REPEATED_SEEDS: Final[tuple[int, ...]] = ()
"""Seeds that once found a fault."""

pytestmark = pytest.mark.timeout(90 + 30 * ROUNDS)


class Record:
    """Everything that clients were promised, in all rounds."""

    def __init__(self) -> None:
        self.promises: list[Promise] = []
        self.last: dict[int, int] = {}

    def keep(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            self.promises += lane.promises
            self.last[lane.lane] = lane.acknowledged

    def check(self, nodes: list[NodeProcess]) -> None:
        """Each node's file holds it all, once, in the order of the log."""
        rows = state(nodes[0])
        check_kept(self.last, rows)
        for node in nodes[1:]:
            assert state(node) == rows
        self.check_order(rows)
        self.check_reigns(nodes)

    def check_order(self, rows: list[Row]) -> None:
        """The offsets that were answered are those of the rows."""
        offsets = {(one.lane, one.number): one.offset for one in self.promises}
        found = [offsets[row[1:]] for row in rows if row[1:] in offsets]
        assert all(one < other for one, other in zip(found, found[1:], strict=False))

    def check_reigns(self, nodes: list[NodeProcess]) -> None:
        """Each answer is of the one master that reigned at its offset."""
        urls = {node.status()["node_id"]: node.url for node in nodes}
        sql = "select first_offset, epoch, master_id from nexus_history order by 1 desc"
        reigns = nodes[0].rows(sql)
        assert all(node.rows(sql) == reigns for node in nodes)
        assert len({epoch for _, epoch, _ in reigns}) == len(reigns)
        for one in self.promises:
            reign = next(reign for reign in reigns if reign[0] <= one.offset)
            assert one.epoch == reign[1], one
            assert not one.is_own or one.url == urls[reign[2]], one


@contextmanager
def writing(nodes: list[NodeProcess], record: Record, first: int) -> Iterator[None]:
    """Clients that write to whoever takes it, until the end of the block."""
    lanes = []
    for number in range(LANES):
        turn = number % len(nodes)
        asked = nodes[turn:] + nodes[:turn]
        direct = number % 2 == 0
        lanes.append(Lane(asked, first + number, pause_s=PAUSE_S, direct=direct))
    for lane in lanes:
        lane.start()
    try:
        yield
        goes_on(lanes)
    finally:
        for lane in lanes:
            lane.finish()
        record.keep(lanes)


def goes_on(lanes: list[Lane]) -> None:
    """Return once every client was promised something more."""
    before = [lane.acknowledged for lane in lanes]

    def all_went_on() -> bool:
        return all(
            lane.acknowledged > number
            for lane, number in zip(lanes, before, strict=True)
        )

    wait_until(all_went_on, "the writes go on")


def settled(nodes: list[NodeProcess]) -> NodeProcess:
    """The master, once all stream at the same offset and have applied it."""

    def are_level() -> bool:
        found = [node.status() for node in nodes]
        places = {(one["epoch"], one["wal_offset"]) for one in found}
        applied = {one["applied_offset"] for one in found}
        roles = sorted(one["role"] for one in found)
        streams = [one["state"] for one in found if one["role"] == "replica"]
        return (
            len(places) == 1
            and applied == {found[0]["wal_offset"]}
            and roles == ["master", "replica", "replica"]
            and set(streams) == {"streaming"}
        )

    wait_until(are_level, "all stream at the same offset")
    return master_of(nodes)


def made(nodes: list[NodeProcess]) -> None:
    """The clients' tables are there."""
    statements = [{"sql": sql} for sql in SCHEMA]
    body = {"statements": statements, "transaction_id": "schema"}

    def is_made() -> bool:
        answer = CLIENT.post(f"{nodes[0].url}/sql", json=body, timeout=5.0)
        return answer.status_code == 200

    wait_until(is_made, "the ledger is made")


@pytest.mark.parametrize("seed", [SEED, *REPEATED_SEEDS])
def test_no_fault_loses_or_doubles_a_promise_or_lets_two_masters_reign_in_one_epoch(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    faults = deck(chance)
    record = Record()
    with networked(3) as network:
        cluster = Cluster(tmp_path)
        try:
            nodes = cluster.voters(settings=SETTINGS, machines=network.machines)
            made(nodes)
            scene = Scene(nodes, network, chance)
            for number in range(1, ROUNDS + 1):
                fault = next(faults)
                print(f"{time.strftime('%X')} round {number}: {fault.__name__}")
                with writing(nodes, record, LANES * number):
                    scene.linger(0.1, 0.4)
                    fault(scene)
                    scene.heal()
                master = settled(nodes)
                record.check(nodes)
                first, *rest = fingerprints(nodes, master)
                assert all(one == first for one in rest)
                for node in nodes:
                    assert node.rows("pragma integrity_check") == [("ok",)]
            verified(*nodes)
        finally:
            cluster.close()
