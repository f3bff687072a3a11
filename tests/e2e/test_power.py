"""Cut the power of all machines at once; nothing acknowledged may be missing."""

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster import Cluster, NodeProcess, fill, fingerprints, wait_until
from e2e.disks import SmallDisk
from e2e.ledger import Ledger, Row
from e2e.power import Outlet
from e2e.test_chaos import SETTINGS, settled
from e2e.test_crash import ROUNDS, SEED, assert_hashes_equal

CUTS: Final = max(2, ROUNDS // 4)
LONGEST_REIGN_S: Final = 1.0
LONGEST_START_S: Final = 1.5

FORGETS_S: Final = 1.0

MEGABYTES: Final = 8
"""Of the database: a full sync takes its time."""

pytestmark = pytest.mark.timeout(300 + 30 * CUTS)


class Machines:
    """Nodes whose directories lie on one disk, which loses its power with them."""

    def __init__(
        self,
        directory: Path,
        outlet: Outlet,
        nodes: list[NodeProcess],
        *,
        consistency: str,
    ) -> None:
        self.nodes = nodes
        self.consistency = consistency
        """Of a read at the first node that has all that was promised."""
        self._directory = directory
        self._outlet = outlet
        for node in nodes:
            node.data_dir = directory / "machines" / node.data_dir.name
            node.log_dir = directory

    @contextmanager
    def powered(self) -> Iterator[SmallDisk]:
        """All run, on the disk as it came back; not waited for."""
        with self._outlet.powered() as disk:
            for node in self.nodes:
                node.namespace = str(disk.namespace)
                node.start(wait=False)
            try:
                yield disk
            finally:
                for node in self.nodes:
                    if node.is_alive:
                        node.kill()

    def cut(self, *, forgets_s: float = 0.0) -> None:
        """Take the power from all."""
        self._outlet.cut(self.nodes, forgets_s=forgets_s)

    def whole(self, disk: SmallDisk) -> bool:
        """Whether SQLite finds each database whole; the nodes have ended."""
        for node in self.nodes:
            name = node.data_dir.name
            copy = self._directory / f"copy-{name}"
            shutil.copytree(disk.outside / name, copy)
            with closing(sqlite3.connect(copy / "nexus.db")) as connection:
                found = connection.execute("pragma integrity_check").fetchall()
            shutil.rmtree(copy)
            if found != [("ok",)]:
                return False
        return True


@pytest.fixture
def outlet(tmp_path: Path) -> Outlet:
    return Outlet(tmp_path)


def three_voters(cluster: Cluster, outlet: Outlet) -> Machines:
    nodes = [NodeProcess(cluster.directory / f"n{n}", "replica") for n in (1, 2, 3)]
    peers = ",".join(node.address for node in nodes)
    for node in nodes:
        node.settings = {"NEXUS_REPLICATION_PEERS": peers, **SETTINGS}
    cluster.nodes += nodes
    return Machines(cluster.directory, outlet, nodes, consistency="strong")


def master_and_replica(cluster: Cluster, outlet: Outlet) -> Machines:
    master = NodeProcess(cluster.directory / "master", "master")
    replica = NodeProcess(cluster.directory / "replica", "replica", master.address)
    cluster.nodes += [master, replica]
    nodes = [master, replica]
    return Machines(cluster.directory, outlet, nodes, consistency="local")


def ledger_of(machines: Machines) -> list[Row]:
    """What is in the ledger, as the first node answers; it has no gap."""
    node = machines.nodes[0]
    body = {
        "statements": [{"sql": "select seq, lane, number from ledger order by seq"}],
        "consistency": machines.consistency,
    }
    found: list[list[Row]] = []

    def answers() -> bool:
        answer = node.post("/sql", body)
        if answer.status_code == 200:
            found.append(answer.json()["results"][0]["rows"])
        return bool(found)

    wait_until(answers, f"{node.url} answers with its ledger")
    rows = [(seq, lane, number) for seq, lane, number in found[0]]
    assert [seq for seq, _, _ in rows] == list(range(1, len(rows) + 1))
    return rows


def first_cut(machines: Machines, chance: random.Random) -> None:
    """In the midst of the first start: identities, catalogs, the first full sync."""
    with machines.powered():
        time.sleep(chance.uniform(0, LONGEST_START_S))
        machines.cut()


Trouble = Callable[[Machines, SmallDisk, random.Random], None]


def nothing_else(_: Machines, __: SmallDisk, ___: random.Random) -> None:
    """They write, and that is all."""


def a_snapshot(machines: Machines, _: SmallDisk, __: random.Random) -> None:
    """One is being made."""
    made = machines.nodes[0].post("/replication/snapshot")
    assert made.status_code < 300, made.text


def a_death(machines: Machines, _: SmallDisk, chance: random.Random) -> None:
    """The others elect, or one is alone."""
    chance.choice(machines.nodes).kill()


def a_loss(machines: Machines, disk: SmallDisk, chance: random.Random) -> None:
    """One has only its catalog left, and takes a full sync.

    One at a time: what two of three hold does not outlive both.
    """
    all_hold(machines)
    loser = chance.choice(machines.nodes[1:])
    loser.kill()
    for kept in (disk.outside / loser.data_dir.name).iterdir():
        if kept.is_dir():
            shutil.rmtree(kept)
        elif not kept.name.startswith("catalog"):
            kept.unlink()
    loser.start(wait=False)


TROUBLES: Final[Sequence[Trouble]] = (
    nothing_else,
    a_snapshot,
    a_death,
    a_loss,
)


def all_hold(machines: Machines) -> None:
    """Return once every node has all that was promised before."""
    nodes = machines.nodes
    offset = max(node.status()["wal_offset"] for node in nodes)

    def have_it() -> bool:
        found = [node.status() for node in nodes]
        streams = {one["state"] for one in found if one["role"] == "replica"}
        return streams == {"streaming"} and all(
            one["applied_offset"] >= offset for one in found
        )

    wait_until(have_it, "all nodes hold what was promised")


def run_with_cuts(machines: Machines, chance: random.Random) -> None:
    """Cut the power at random moments; each time, all that was promised comes back."""
    first_cut(machines, chance)
    first, *others = machines.nodes
    promised: dict[int, int] = {}
    ledger: Ledger | None = None
    for number in range(CUTS + 1):
        with machines.powered() as disk:
            if ledger is None:
                ledger = Ledger(first, others=others)
                fill(first, megabytes=MEGABYTES)
            before = ledger.acknowledged
            wait_until(lambda: ledger.acknowledged > before, "writes flow")  # noqa: B023
            ledger.check_kept(promised, ledger_of(machines))
            if number < CUTS:
                chance.choice(TROUBLES)(machines, disk, chance)
                time.sleep(chance.uniform(0, LONGEST_REIGN_S))
                machines.cut()
                promised = ledger.promises()
                continue
            ledger.finish()
            ledger.check_kept(ledger.promises(), ledger_of(machines))
            check_level(machines)
            for node in machines.nodes:
                node.kill()
            assert machines.whole(disk)


def check_level(machines: Machines) -> None:
    """All nodes hash every table to the same."""
    if len(machines.nodes) == 2:
        master, replica = machines.nodes
        assert_hashes_equal(master, [replica])
        return
    one, *rest = fingerprints(machines.nodes, settled(machines.nodes))
    assert one["tables"]
    assert all(other == one for other in rest)


@pytest.mark.parametrize("made", [three_voters, master_and_replica])
def test_no_promise_is_lost_when_all_machines_lose_their_power_at_once(
    cluster: Cluster, outlet: Outlet, made: Callable[[Cluster, Outlet], Machines]
) -> None:
    run_with_cuts(made(cluster, outlet), random.Random(f"{SEED} {made.__name__}"))


def test_a_disk_that_loses_what_was_promised_is_found_out(
    cluster: Cluster, outlet: Outlet
) -> None:
    machines = master_and_replica(cluster, outlet)
    master, _ = machines.nodes
    with machines.powered():
        ledger = Ledger(master)
        wait_until(lambda: ledger.acknowledged > 100, "writes flow")
        machines.cut(forgets_s=FORGETS_S)
    promised = ledger.promises()
    with machines.powered(), pytest.raises(AssertionError, match="were promised"):
        ledger.check_kept(promised, ledger_of(machines))


def test_what_was_not_synced_is_gone_after_a_cut(outlet: Outlet) -> None:
    with outlet.powered() as disk:
        (disk.outside / "lost").write_bytes(b"a" * 5000)
        with (disk.outside / "kept").open("wb") as file:
            file.write(b"b" * 5000)
            file.flush()

            os.fsync(file.fileno())
            file.write(b"c" * 5000)
            file.flush()
        outlet.cut([])
    with outlet.powered() as disk:
        assert (disk.outside / "kept").read_bytes() == b"b" * 5000
        lost = disk.outside / "lost"
        assert not lost.exists() or lost.read_bytes() == b""
