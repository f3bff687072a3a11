"""Random scenarios: whatever breaks, in the end every replica has the master's rows.

A seed replays a run. Promotions happen too: what is in a node's log then leaves neither
log nor database without being exported (invariant 7).
"""

import random

import pytest

from replication.seeds import seeds
from replication.world import Node, World

NAMES = ("a", "b", "c")


class Run:
    """One seed's world, with one master at a time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World()
        self.world.reign("a", window=self.random.choice((1, 3, 1_000)))
        self.master = "a"
        for name in NAMES[1:]:
            self.world.follow(name, NAMES)

    def replicas(self) -> list[str]:
        return [name for name in NAMES if name != self.master]

    def step(self) -> None:
        before = {name: list(node.log) for name, node in self.world.nodes.items()}
        self.act()
        self.check()
        for name, records in before.items():
            node = self.world.nodes[name]
            kept = {*node.rows, *node.exported, *(one.payload for one in node.log)}
            assert {one.payload for one in records} <= kept

    def act(self) -> None:
        name = self.random.choice(self.replicas())
        match self.random.randrange(20):
            case 0:
                self.world.crash(name)
                self.world.follow(name, NAMES)
            case 1:
                self.world.crash(self.master)
                self.world.reign(self.master)
            case 2:
                self.trim()
                self.world.nodes[name].can_rewind = self.random.random() < 0.5
            case 3:
                self.world.drop_all_of(name)
            case 4:
                self.world.tick(self.random.choice((100, 1_000, 5_000)))
            case 5 if self.world.nodes[name].cluster_id:
                self.promote(name)
            case number if number < 11:
                self.world.write(self.master, self.random.randrange(1, 6))
            case _:
                self.world.deliver(self.random.randrange(1, 30))

    def trim(self) -> None:
        master = self.world.nodes[self.master]
        machine = master.master
        assert machine is not None
        most = min(machine.retention_floor(), master.end)
        if most > master.first_offset:
            first = self.random.randrange(master.first_offset, most) + 1
            self.world.trim(self.master, first)

    def promote(self, name: str) -> None:
        """As an operator does, after the old master has died."""
        old, self.master = self.master, name
        self.world.crash(old)
        # The database is brought to the log's end before a new reign begins, and the
        # epoch grows beyond every one that was ever given.
        node = self.world.nodes[name]
        for offset in range(node.applied + 1, node.end + 1):
            node.rows.append(node.record(offset).payload)
        for other in self.world.nodes.values():
            node.epoch = max(node.epoch, other.epoch)
        self.world.reign(name)
        self.world.follow(old, NAMES)

    def check(self) -> None:
        master = self.world.nodes[self.master]
        for name in self.replicas():
            node = self.world.nodes[name]
            assert node.applied <= node.end
            self.check_rows(node)
            machine = node.replica
            assert machine is not None
            if machine.state == "streaming":
                assert node.rows == master.rows[: node.applied]

    def check_rows(self, node: Node) -> None:
        for record in node.log:
            if record.offset <= node.applied:
                assert node.rows[record.offset - 1] == record.payload

    def settle(self) -> None:
        self.world.tick(200_000)
        master = self.world.nodes[self.master]
        for name in self.replicas():
            node = self.world.nodes[name]
            machine = node.replica
            assert machine is not None
            assert machine.state == "streaming", f"{name}: {machine.last_error}"
            assert node.rows == master.rows
            assert machine.lag(0) == 0
        assert master.master is not None
        assert master.master.retention_floor() == master.end + 1


@pytest.mark.parametrize("seed", seeds(40))
def test_every_replica_ends_with_the_masters_rows(seed: int) -> None:
    run = Run(seed)
    for _ in range(150):
        run.step()

    run.settle()
