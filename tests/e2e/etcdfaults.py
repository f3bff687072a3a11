"""What can befall nodes under etcd, and etcd itself; `heal` ends all of it."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from e2e.cluster import NodeProcess
from e2e.etcd import Etcd, Member
from e2e.faults import Stage, hand_over

LEASE_S: Final = 2.0

STALLS: Final = 8
"""Of etcd's members that hang again and again."""


@dataclass
class KeyedScene(Stage):
    """Three nodes and three members of etcd, each on a machine of its own."""

    etcd: Etcd

    def some_members(self, count: int) -> list[Member]:
        """Of etcd."""
        return self.chance.sample(self.etcd.members, count)

    def linger(self, low: float = LEASE_S / 2, high: float = 2 * LEASE_S) -> None:
        """Let the clients and the leases go on."""
        time.sleep(self.chance.uniform(low, high))

    def part(
        self, one: str, others: Iterable[str], *, to: bool = True, back: bool = True
    ) -> None:
        """The others hear nothing of this address (`to`), it nothing of them."""
        for other in others:
            if to:
                self.network.cut(one, other)
            if back:
                self.network.cut(other, one)

    def part_from_etcd(
        self, node: NodeProcess, *, to: bool = True, back: bool = True
    ) -> None:
        """Etcd hears nothing of it (`to`), it nothing of etcd (`back`)."""
        hosts = [member.host for member in self.etcd.members]
        self.part(node.host, hosts, to=to, back=back)

    @override
    def heal(self) -> None:
        """All run, etcd's members too, and all hear each other."""
        super().heal()
        for member in self.etcd.members:
            if member.is_alive:
                member.resume()
            else:
                self.etcd.start(member)


def killed_master(scene: KeyedScene) -> None:
    scene.master.kill()
    scene.linger()


def killed_replica(scene: KeyedScene) -> None:
    scene.some_replica().kill()
    scene.linger()


def paused_master(scene: KeyedScene) -> None:
    """For longer than its lease lasts."""
    scene.master.pause()
    scene.linger(1.5 * LEASE_S, 3 * LEASE_S)


def all_killed(scene: KeyedScene) -> None:
    for node in scene.nodes:
        node.kill()


def master_without_etcd(scene: KeyedScene) -> None:
    """Cut off from etcd alone: the replicas hear it all the time."""
    scene.part_from_etcd(scene.master)
    scene.linger(1.5 * LEASE_S, 3 * LEASE_S)


def master_half_without_etcd(scene: KeyedScene) -> None:
    """Etcd hears it and it hears nothing, or the other way round."""
    mute = scene.chance.random() < 0.5
    scene.part_from_etcd(scene.master, to=mute, back=not mute)
    scene.linger(1.5 * LEASE_S, 3 * LEASE_S)


def killed_without_etcd(scene: KeyedScene) -> None:
    """The master is cut off from etcd, and dies about when its lease ends."""
    master = scene.master
    scene.part_from_etcd(master)
    scene.linger(0.5 * LEASE_S, 1.5 * LEASE_S)
    master.kill()
    scene.linger()


def replica_without_etcd(scene: KeyedScene) -> None:
    """One that cannot take over: then the master dies."""
    scene.part_from_etcd(scene.some_replica())
    scene.linger()
    scene.master.kill()
    scene.linger(LEASE_S, 2 * LEASE_S)


def replica_without_master(scene: KeyedScene) -> None:
    """It is taken out of the list; then the master dies or is cut off from etcd."""
    master, replica = scene.master, scene.some_replica()
    scene.part(replica.host, [master.host], to=scene.chance.random() < 0.7)
    scene.linger(0.5 * LEASE_S, 2 * LEASE_S)
    if scene.chance.random() < 0.5:
        master.kill()
    else:
        scene.part_from_etcd(master)
    scene.linger(LEASE_S, 3 * LEASE_S)


def parted_master(scene: KeyedScene) -> None:
    """From the other nodes, not from etcd: it keeps the key, and takes them out."""
    master = scene.master
    others = [node.host for node in scene.nodes if node is not master]
    scene.part(master.host, others)
    scene.linger(LEASE_S, 2 * LEASE_S)


def one_member_killed(scene: KeyedScene) -> None:
    scene.some_members(1)[0].kill()
    scene.linger()


def majority_killed(scene: KeyedScene) -> None:
    """Etcd answers nobody for a while; perhaps the master dies meanwhile."""
    master = scene.master
    for member in scene.some_members(2):
        member.kill()
    scene.linger(0.5 * LEASE_S, 2 * LEASE_S)
    if scene.chance.random() < 0.5:
        master.kill()


def etcd_in_halves(scene: KeyedScene) -> None:
    """One member alone with the master, the other two with the rest."""
    alone, master = scene.some_members(1)[0], scene.master
    rest = [member.host for member in scene.etcd.members if member is not alone]
    scene.part(alone.host, rest)
    scene.part(master.host, rest)
    scene.linger(LEASE_S, 3 * LEASE_S)


def stalling_etcd(scene: KeyedScene) -> None:
    """All members hang again and again, for less than a lease or for about one."""
    for _ in range(STALLS):
        for member in scene.etcd.members:
            member.pause()
        scene.linger(0.1, 0.6 * LEASE_S)
        for member in scene.etcd.members:
            member.resume()
        scene.linger(0.05, 0.5)


def hung_etcd(scene: KeyedScene) -> None:
    """It hangs, answers late what it was asked before, and a replica hangs too."""
    for member in scene.etcd.members:
        member.pause()
    replica = scene.some_replica()
    replica.pause()
    scene.linger(0.5 * LEASE_S, 2 * LEASE_S)
    for member in scene.etcd.members:
        member.resume()
    scene.linger(0.1, LEASE_S)
    replica.resume()


def switched_over(scene: KeyedScene) -> None:
    """Perhaps while etcd hangs, or one of the two dies."""
    master, heir = scene.master, scene.some_replica()
    hand_over(master, heir)
    blow = scene.chance.choice([None, master.kill, heir.kill, heir.pause])
    if blow is not None:
        blow()
    scene.linger()


Fault = Callable[[KeyedScene], None]

FAULTS: Final[tuple[Fault, ...]] = (
    killed_master,
    killed_replica,
    paused_master,
    all_killed,
    master_without_etcd,
    master_half_without_etcd,
    killed_without_etcd,
    replica_without_etcd,
    replica_without_master,
    parted_master,
    one_member_killed,
    majority_killed,
    etcd_in_halves,
    stalling_etcd,
    hung_etcd,
    switched_over,
)


def deck(chance: random.Random) -> Iterator[Fault]:
    """Faults without end: each comes once before any comes again."""
    while True:
        yield from chance.sample(FAULTS, len(FAULTS))
