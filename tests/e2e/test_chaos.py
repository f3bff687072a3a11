"""Elected clusters under every fault: no promise is lost, and one master an epoch."""

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster import (
    CLIENT,
    Cluster,
    NodeProcess,
    fingerprints,
    master_of,
    wait_until,
)
from e2e.faults import (
    CHURN_SCHEMA,
    HEARTBEAT_MS,
    LOG_ENTRIES,
    Fault,
    Scene,
    deck,
    parted_master,
)
from e2e.ledger import SCHEMA, Lane
from e2e.namespaces import networked
from e2e.record import Record
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

PARTED_MASTERS: Final = 10

PAUSE_S: Final = 0.015
"""Between two writes of a client, so that ids are not forgotten while one hangs."""

REPEATED_SEEDS: Final = (2,) if ROUNDS >= 100 else ()
"""Seeds that once found a fault, in their later rounds.

2: the event loop used the writer's connection while its thread did (rounds 39, 57).
"""

pytestmark = pytest.mark.timeout(300 + 30 * ROUNDS)


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
    statements = [{"sql": sql} for sql in (*SCHEMA, *CHURN_SCHEMA)]
    body = {"statements": statements, "transaction_id": "schema"}

    def is_made() -> bool:
        answer = CLIENT.post(f"{nodes[0].url}/sql", json=body, timeout=5.0)
        return answer.status_code == 200

    wait_until(is_made, "the ledger is made")


def told(what: str) -> None:
    """For who watches `make chaos`, or reads why a run has failed."""
    sys.stdout.write(f"{time.strftime('%X')} {what}\n")


def struck(scene: Scene, fault: Fault, record: Record, first: int) -> NodeProcess:
    """One round under load, healed; returns who reigns when all are level."""
    with writing(scene.nodes, record, first):
        scene.linger(0.1, 0.4)
        fault(scene)
        scene.heal()
    return settled(scene.nodes)


def check_equal(nodes: list[NodeProcess], master: NodeProcess) -> None:
    """All hash every table to the same, and every file is whole."""
    first, *rest = fingerprints(nodes, master)
    assert first["tables"]
    assert all(one == first for one in rest)
    for node in nodes:
        assert node.rows("pragma integrity_check") == [("ok",)]


@contextmanager
def staged(directory: Path, seed: int, **settings: str) -> Iterator[Scene]:
    """Three nodes on a network of their own, with the clients' tables."""
    with networked(3) as network:
        cluster = Cluster(directory)
        try:
            nodes = cluster.voters(
                settings=SETTINGS | settings, machines=network.machines
            )
            made(nodes)
            yield Scene(nodes, network, random.Random(seed))
        finally:
            cluster.close()


@pytest.mark.parametrize("seed", [SEED, *REPEATED_SEEDS])
def test_no_fault_loses_or_doubles_a_promise_or_lets_two_masters_reign_in_one_epoch(
    tmp_path: Path, seed: int
) -> None:
    record = Record()
    with staged(tmp_path, seed) as scene:
        faults = deck(scene.chance)
        for number in range(1, ROUNDS + 1):
            fault = next(faults)
            told(f"seed {seed} round {number}: {fault.__name__}")
            master = struck(scene, fault, record, LANES * number)
            record.check(scene.nodes)
            check_equal(scene.nodes, master)
        verified(*scene.nodes)


def parted_and_checked(scene: Scene) -> None:
    """Cut masters off, and hold each time what was promised against what is kept.

    Where the clients are slow, one may be cut off between two of its promises.
    """
    record = Record()
    for number in range(1, PARTED_MASTERS + 1):
        struck(scene, parted_master, record, LANES * number)
        record.check(scene.nodes)


def test_these_checks_find_what_asynchronous_replication_loses(tmp_path: Path) -> None:
    with (
        staged(tmp_path, SEED, NEXUS_REPLICATION_MODE="async") as scene,
        pytest.raises(AssertionError, match="were promised"),
    ):
        parted_and_checked(scene)
