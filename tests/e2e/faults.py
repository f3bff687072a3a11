"""What can befall three nodes; each fault leaves damage that `Scene.heal` ends."""

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Final

import httpx

from e2e.cluster import NodeProcess, master_of
from e2e.namespaces import Network

HEARTBEAT_MS: Final = 100
DEAD_TIME_S: Final = 3 * HEARTBEAT_MS / 1000

LOG_ENTRIES: Final = 1_500
"""That the log keeps. More are written past a node that is to need a full sync."""

CHURN_SCHEMA: Final = ("create table churn(turns int)", "insert into churn values (0)")

WRITERS: Final = 16
FLICKERS: Final = 12
"""Of a node that hangs again and again."""

HANGS_MS: Final = (40, 250, 1_000)
"""What a sync takes at most on a slow disk: longer than a dead-time, too."""

SLOW_MS: Final = 150
"""On the disk of a node that is to be struck in the midst of something."""

CAUGHT_S: Final = 8.0
"""How long it is waited for; it may be over before it was seen."""


@dataclass
class Stage:
    """The nodes, what joins them, and the chance that decides."""

    nodes: list[NodeProcess]
    network: Network
    chance: random.Random

    @property
    def master(self) -> NodeProcess:
        """Who reigns when the fault begins."""
        return master_of([node for node in self.nodes if node.is_alive])

    def some_replica(self) -> NodeProcess:
        """One of those that do not."""
        master = self.master
        return self.chance.choice([node for node in self.nodes if node is not master])

    def heal(self) -> None:
        """All run, and all hear each other."""
        self.network.heal()
        for node in self.nodes:
            node.speed_up()
            if node.is_alive:
                node.resume()
            else:
                node.start(wait=False)


@dataclass
class Scene(Stage):
    """Nodes that elect among themselves."""

    def linger(self, low: float = DEAD_TIME_S, high: float = 4 * DEAD_TIME_S) -> None:
        """Let the clients and the elections go on."""
        time.sleep(self.chance.uniform(low, high))

    def part(self, node: NodeProcess, *, to: bool = True, back: bool = True) -> None:
        """The others hear nothing of this node (`to`), it nothing of them (`back`)."""
        for other in self.nodes:
            if other is not node and to:
                self.network.cut(node.host, other.host)
            if other is not node and back:
                self.network.cut(other.host, node.host)

    def wait_for(self, node: NodeProcess, state: str) -> None:
        """Return when the node is in the midst of this, or soon after anyway."""
        deadline = time.monotonic() + CAUGHT_S
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if node.status()["state"] == state:
                    sys.stdout.write(f"  {node.data_dir.name} is {state}\n")
                    return
            time.sleep(0.005)


def killed_master(scene: Scene) -> None:
    scene.master.kill()
    scene.linger()


def killed_replica(scene: Scene) -> None:
    scene.some_replica().kill()
    scene.linger()


def all_but_one_killed(scene: Scene) -> None:
    victims = scene.chance.sample(scene.nodes, 2)
    for node in victims:
        node.kill()
    scene.linger()


def power_failure(scene: Scene) -> None:
    for node in scene.nodes:
        node.kill()


def paused_master(scene: Scene) -> None:
    scene.master.pause()
    scene.linger(2 * DEAD_TIME_S)


def paused_replica(scene: Scene) -> None:
    scene.some_replica().pause()
    scene.linger(2 * DEAD_TIME_S)


def parted_master(scene: Scene) -> None:
    scene.part(scene.master)
    scene.linger(2 * DEAD_TIME_S)


def mute_or_deaf_master(scene: Scene) -> None:
    mute = scene.chance.random() < 0.5
    scene.part(scene.master, to=mute, back=not mute)
    scene.linger(2 * DEAD_TIME_S)


def mute_or_deaf_replica(scene: Scene) -> None:
    mute = scene.chance.random() < 0.5
    scene.part(scene.some_replica(), to=mute, back=not mute)
    scene.linger(2 * DEAD_TIME_S)


def random_cuts(scene: Scene) -> None:
    """Some directions between nodes, and answers to clients of one of them."""
    pairs = list(permutations([node.host for node in scene.nodes], 2))
    for source, target in scene.chance.sample(pairs, scene.chance.randint(2, 5)):
        scene.network.cut(source, target)
    scene.network.cut(scene.chance.choice(scene.nodes).host, scene.network.here)
    scene.linger(2 * DEAD_TIME_S)


def slow_disk(scene: Scene) -> None:
    """What the master, or a replica, or all of them sync takes its time."""
    master, replica = scene.master, scene.some_replica()
    for node in scene.chance.choice([[master], [replica], scene.nodes]):
        node.slow_down(scene.chance.choice(HANGS_MS))
    scene.linger(3 * DEAD_TIME_S, 6 * DEAD_TIME_S)


def killed_on_a_slow_disk(scene: Scene) -> None:
    """The master dies while syncs hang, there and at those that are to follow it."""
    for node in scene.nodes:
        node.slow_down(SLOW_MS)
    scene.linger(0, DEAD_TIME_S)
    scene.master.kill()
    scene.linger(2 * DEAD_TIME_S, 4 * DEAD_TIME_S)


def flickering_node(scene: Scene) -> None:
    """One node hangs again and again, for less than the dead-time."""
    node = scene.chance.choice([scene.master, scene.some_replica()])
    for _ in range(FLICKERS):
        node.pause()
        scene.linger(0.02, DEAD_TIME_S / 2)
        node.resume()
        scene.linger(0.005, 0.03)


def struck_in_an_election(scene: Scene) -> None:
    """The master dies; while the others elect, one of them dies or hangs too."""
    heir = scene.some_replica()
    heir.slow_down(SLOW_MS)
    scene.master.kill()
    scene.linger(DEAD_TIME_S, 2 * DEAD_TIME_S)
    scene.chance.choice([heir.kill, heir.pause])()
    scene.linger()


def struck_in_a_rewind(scene: Scene) -> None:
    """A master alone keeps what it could not commit; it dies as it takes it back."""
    master = scene.master
    scene.part(master)
    scene.linger(2 * DEAD_TIME_S)
    master.slow_down(SLOW_MS)
    if scene.chance.random() < 0.5:
        master.kill()
        master.start(wait=False)
    scene.network.heal()
    scene.wait_for(master, "rewinding")
    scene.linger(0, DEAD_TIME_S / 4)
    scene.chance.choice([master.kill, scene.some_replica().pause])()
    scene.linger(DEAD_TIME_S)


def struck_in_a_full_sync(scene: Scene) -> None:
    """A replica misses more than the log keeps; it or its master dies meanwhile."""
    replica, master = scene.some_replica(), scene.master
    replica.kill()
    for one in churned(scene):
        one.join()
    replica.slow_down(SLOW_MS)
    replica.start(wait=False)
    scene.wait_for(replica, "full_sync")
    scene.linger(0, DEAD_TIME_S / 2)
    scene.chance.choice([master, replica]).kill()
    scene.linger()


def switched_over(scene: Scene) -> None:
    """The master hands over, and back at once."""
    for _ in range(2):
        hand_over(scene.master, scene.some_replica())
        scene.linger(0, DEAD_TIME_S)


def struck_in_a_switchover(scene: Scene) -> None:
    """The master or its heir dies, hangs or is cut off while they hand over."""
    master, heir = scene.master, scene.some_replica()
    scene.chance.choice([master, heir]).slow_down(SLOW_MS)
    asking = threading.Thread(target=hand_over, args=(master, heir))
    asking.start()
    scene.linger(0, DEAD_TIME_S / 3)
    victim = scene.chance.choice([master, heir])
    blows = (victim.kill, victim.pause, partial(scene.part, victim))
    blows[scene.chance.randrange(len(blows))]()
    scene.linger(DEAD_TIME_S, 3 * DEAD_TIME_S)
    scene.heal()
    asking.join()


def hand_over(master: NodeProcess, heir: NodeProcess) -> None:
    """Ask for it; it may be refused, and no answer may come."""
    with suppress(httpx.HTTPError):
        to = {"to": heir.status()["node_id"]}
        master.post("/replication/switchover", to)


def churned(scene: Scene) -> Iterator[threading.Thread]:
    """Writers that send the log beyond what it keeps."""
    touch = {"sql": "update churn set turns = turns + 1"}
    body = {"statements": [touch] * (2 * LOG_ENTRIES // WRITERS), "transaction": False}

    def write(node: NodeProcess) -> None:
        with suppress(httpx.HTTPError):
            node.post("/sql", body)

    writers = [
        threading.Thread(target=write, args=(scene.master,)) for _ in range(WRITERS)
    ]
    for one in writers:
        one.start()
    return iter(writers)


Fault = Callable[[Scene], None]

FAULTS: Final[tuple[Fault, ...]] = (
    killed_master,
    killed_replica,
    all_but_one_killed,
    power_failure,
    paused_master,
    paused_replica,
    parted_master,
    mute_or_deaf_master,
    mute_or_deaf_replica,
    random_cuts,
    slow_disk,
    killed_on_a_slow_disk,
    flickering_node,
    struck_in_an_election,
    struck_in_a_rewind,
    struck_in_a_full_sync,
    switched_over,
    struck_in_a_switchover,
)


def deck(chance: random.Random) -> Iterator[Fault]:
    """Faults without end: each comes once before any comes again."""
    while True:
        yield from chance.sample(FAULTS, len(FAULTS))
