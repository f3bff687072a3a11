"""One simulated run: virtual time, every node, every client, every checker.

All chance comes from the plan's seed, and the events of one moment happen in the order
in which they were asked for: the same plan gives the same run, event by event.
"""

import heapq
import random
from collections.abc import Callable
from typing import Any, Final

from nexus.model.cluster import Mode, NodeId
from nexus.model.operation import Configuration
from nexus.model.position import Offset
from nexus.replication.elections.effects import ElectionSettings
from nexus.replication.members.effects import MemberSettings, RecoveredMember
from nexus.replication.members.electorate import ConfigurationEntry
from nexus.replication.members.member import Member
from nexus.replication.settings import (
    WITNESS,
    Identity,
    MasterSettings,
    ReplicaSettings,
)
from sim.checkers import Checkers, RuleError
from sim.clients import LONG_PATIENCE_MS, Client
from sim.disk import Copy, Disk
from sim.linearizable import explain
from sim.network import Connection, Network, place_of
from sim.node import Process, standing_of
from sim.plan import Plan
from sim.stranger import Strangers
from sim.trouble import TROUBLE, end_maintenance

HEARTBEAT_MS: Final = 100
HEAL_MS: Final = 500
CLOCKS_LEAP: Final = {"jump", "leap"}
STEPS_LEAST: Final = 1_000
STEPS_MOST: Final = 60_000
"""A run that has not ended by then goes round in circles."""


HOME_MS: Final = 400
"""For so long an upstream must answer well before a stand-in is left for it."""

LATE_MS: Final = 150
"""How much later the last of a chain applies."""


class World:
    """Everything there is in one run."""

    tick_ms = 40

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed * 31 + 7)
        self.time = 0
        self.step = 0
        self._numbers = 0
        self._events: list[
            tuple[int, int, Process | None, Callable[..., None], tuple[Any, ...]]
        ] = []
        self.network = Network(self)
        self.strangers = Strangers(self)
        self.connections: list[Connection] = []
        self.liars: set[str] = set()
        """Who has ever said more than was true; none of them is made a voter."""
        self.copies: dict[str, Copy] = {}
        voters = tuple((name, name) for name in plan.voters)
        formed = Configuration("cluster", voters, sync_quorum=plan.sync_quorum)
        self.formed = ConfigurationEntry(Offset(0), formed)
        self.disks = {name: Disk(self.formed) for name in plan.nodes}
        self._generations: dict[str, int] = {}
        self._dead: dict[str, Disk] = {}
        """What is left of the disks of nodes that were replaced: nothing."""
        self.checkers = Checkers(plan, self.disks)
        self.checkers.clocks_run = not any(
            one.kind in CLOCKS_LEAP for one in plan.faults
        )
        self.processes: dict[str, Process] = {}
        self._slow: dict[str, tuple[int, int]] = {}
        self._offsets = dict.fromkeys(plan.nodes, 0)
        self._meanings: dict[bytes, tuple[str, str]] = {}
        self.strikes = 0
        """So many masters to come crash as soon as they reign."""
        self.surgeries = 0
        """So many rewinds and installs to come end in a crash, half done."""
        self.clients_act = True
        self.clients = [Client(self, number) for number in range(plan.clients)]

    # --- Time ------------------------------------------------------------------------

    def number(self) -> int:
        """One that is never used again."""
        self._numbers += 1
        return self._numbers

    def moment(self) -> float:
        """When something happens, in an order that has no ties."""
        return self.time + self.number() / 1e9

    def clock(self, name: str) -> int:
        """A node's own clock: it drifts, and may have jumped ahead."""
        drift = self.plan.drift_percent
        index = self.plan.nodes.index(name)
        percent = 100 + (drift[index] if index < len(drift) else 0)
        return self.time * percent // 100 + self._offsets[name]

    def at(
        self, process: Process | None, at_ms: int, call: Callable[..., None], *args: Any
    ) -> None:
        """Call it at a time, unless the process has died by then."""
        event = (max(at_ms, self.time), self.number(), process, call, args)
        heapq.heappush(self._events, event)

    def later(
        self,
        process: Process | None,
        delay_ms: int,
        call: Callable[..., None],
        *args: Any,
    ) -> None:
        """Call it in a while, unless the process has died by then."""
        self.at(process, self.time + delay_ms, call, *args)

    def soon(self, delay_ms: int, call: Callable[..., None], *args: Any) -> None:
        """Call it in a while, whatever happens."""
        self.at(None, self.time + delay_ms, call, *args)

    def run_until(self, until_ms: int) -> None:
        """Let time go on."""
        events = self._events
        while events and events[0][0] <= until_ms:
            self.time, _, process, call, args = heapq.heappop(events)
            if process is not None:
                if not process.alive:
                    continue
                if process.paused:
                    process.backlog.append((call, args))
                    continue
            self.step += 1
            if self.step > STEPS_MOST:
                raise RuleError(f"the run does not end: {STEPS_MOST} steps")
            call(*args)
        self.time = until_ms

    # --- What nodes need -------------------------------------------------------------

    def generation_of(self, name: str) -> int:
        """How often the node on a machine was replaced by a new one."""
        return self._generations.get(name, 0)

    def of_id(self, node_id: str) -> Process | None:
        """The process of a node, if it runs and was not replaced."""
        process = self.processes.get(place_of(node_id))
        return process if process and process.node_id == node_id else None

    def disk_of(self, node_id: str) -> Disk:
        """A node's disk; of one that was replaced nothing is left."""
        name = place_of(node_id)
        is_there = node_id == name + "~" * self.generation_of(name)
        return self.disks[name] if is_there else self._dead[node_id]

    def is_voter(self, node_id: str) -> bool:
        """Whether anybody counts it."""
        return any(
            node_id in process.member.voters for process in self.processes.values()
        )

    def member(self, node_id: NodeId, disk: Disk) -> Member:
        """The pure node, as its disk has it."""
        name = place_of(node_id)
        witness = name.startswith("w")
        identity = Identity(
            node_id=node_id,
            cluster_id="cluster",
            address=name,
            features=(WITNESS,) if witness else (),
        )
        settings = MemberSettings(
            election=ElectionSettings(
                node_id=node_id,
                cluster_id="cluster",
                stands=not witness,
                heartbeat_ms=HEARTBEAT_MS,
                spread_ms=150,
            ),
            replica=ReplicaSettings(
                addresses=self._addresses_of(name),
                cascades=name in self.plan.chained,
                home_ms=HOME_MS,
                first_tries=2,
                apply_delay_ms=LATE_MS if name == "z" else 0,
                heartbeat_ms=HEARTBEAT_MS,
                connect_timeout_ms=200,
                retry_first_ms=30,
                retry_most_ms=200,
                steady_ms=1_000,
                hold_bytes=self.plan.hold if witness else 0,
            ),
            master=MasterSettings(heartbeat_ms=HEARTBEAT_MS, window_entries=16),
            mode=self.plan.mode,
            sync_quorum=1,  # the log names another one, and that rules
            witness=witness,
        )
        recovered = RecoveredMember(
            log=standing_of(disk),
            record=disk.record,
            configurations=disk.configurations(),
            first_offset=disk.first,
            sound=disk.is_sound,
        )
        random_ = self.chance.random
        return Member(identity, settings, recovered, random_, self.clock(name))

    def _addresses_of(self, name: str) -> tuple[str, ...]:
        """Where a node is told to look for a master, or for its upstream first."""
        chained = self.plan.chained
        if name not in chained:
            return self.plan.nodes
        place = chained.index(name)
        first = chained[-1] if self.plan.ring else self.plan.voters[0]
        upstream = chained[place - 1] if place else first
        return (upstream, *self.plan.voters)

    def disk_ms(self, name: str) -> int:
        """How long a sync takes there now."""
        until, extra = self._slow.get(name, (0, 0))
        slow = extra if self.time < until else 0
        usual = 1 if self.chance.random() < 0.8 else self.chance.randrange(1, 15)
        return usual + (self.chance.randrange(slow) if slow else 0)

    def apply_ms(self) -> int:
        """How long an apply takes."""
        return self.chance.randrange(1, 6 if self.chance.random() < 0.8 else 60)

    def newest_copy(self, name: str) -> tuple[str, Copy] | None:
        """The last snapshot that a node has made and kept."""
        own = [key for key in self.copies if key.startswith(f"{name}-")]
        return (own[-1], self.copies[own[-1]]) if own else None

    def known_id(self, name: str, transaction_id: str) -> Offset | None:
        """Where a node's database says that it has a transaction."""
        for record in reversed(self.disks[name].rows):
            if record.payload in self._meanings and (
                record.decoded().transaction_id == transaction_id
            ):
                return record.offset
        return None

    def value(self, disk: Disk, key: str) -> str:
        """What a database holds under a key."""
        for record in reversed(disk.rows):
            found, value = self._meanings.get(record.payload, ("", ""))
            if found == key:
                return value
        return ""

    def means(self, payload: bytes, key: str, value: str) -> None:
        """This entry sets a key."""
        self._meanings[payload] = (key, value)

    def who_takes_writes(self, chance: random.Random) -> str:
        """One of the nodes that would take a write now, or anybody."""
        open_ = [name for name, one in self.processes.items() if one.writer.open]
        return chance.choice(open_ or list(self.plan.nodes))

    # --- Faults ----------------------------------------------------------------------

    def start(self, name: str) -> None:
        """A process begins."""
        if name not in self.processes:
            process = Process(self, name, self.disks[name])
            self.processes[name] = process
            process.start()

    def crash(self, name: str, for_ms: int = 0) -> None:
        """It is gone, with whatever its disk had not synced."""
        process = self.processes.pop(name, None)
        if process is None:
            return
        process.alive = False
        self.disks[name].lose_power(self.chance)
        for one in self.connections:
            if process in (one.client, one.server):
                one.breaks()
        self._forget_connections()
        self.soon(for_ms or self.chance.randrange(20, 200), self.start, name)

    def _forget_connections(self) -> None:
        self.connections = [one for one in self.connections if one.is_open]

    def replace(self, name: str, for_ms: int) -> None:
        """Its disk is gone; what comes back under its address is another node."""
        self.crash(name, for_ms)
        generation = self._generations.get(name, 0)
        self._dead[name + "~" * generation] = self.disks[name]
        self.disks[name].wipe()
        self._generations[name] = generation + 1
        self.disks[name] = Disk(self.formed)

    def pause(self, name: str, for_ms: int) -> None:
        """SIGSTOP; what comes meanwhile waits."""
        process = self.processes.get(name)
        if process is not None and not process.paused:
            process.paused = process.rested = True
            self.soon(for_ms, self._resume, process)

    def _resume(self, process: Process) -> None:
        process.paused = False
        backlog, process.backlog = list(process.backlog), type(process.backlog)()
        for call, args in backlog:
            # An event loop may serve its sockets before its timers, or after them.
            is_timer = call == process.tick
            self.later(process, self.chance.randrange(6) * is_timer, call, *args)

    def break_connections(self, name: str) -> None:
        """Every connection of a node breaks."""
        for one in self.connections:
            if name in (one.client.name, one.server.name):
                one.breaks()
        self._forget_connections()

    def jump(self, name: str, by_ms: int) -> None:
        """A node's clock leaps ahead."""
        self._offsets[name] += by_ms

    def slow(self, name: str, for_ms: int, extra_ms: int) -> None:
        """Its disk takes its time."""
        self._slow[name] = (self.time + for_ms, extra_ms)

    # --- The run ---------------------------------------------------------------------

    def run(self) -> None:
        """All of it; raises RuleError."""
        for name in self.plan.nodes:
            self.soon(self.chance.randrange(30), self.start, name)
        for client in self.clients:
            client.start()
        for fault in self.plan.faults:
            self.at(None, fault.at_ms, TROUBLE[fault.kind], self, fault)
        self.run_until(self.plan.stress_ms)
        self._heal()
        while self.step < STEPS_LEAST or not self._agrees():
            if self.time > self.plan.stress_ms + LONG_PATIENCE_MS * 7:
                raise RuleError(f"no convergence after healing: {self._standing()}")
            self.run_until(self.time + 100)
        self._check_the_end()

    def _heal(self) -> None:
        """Everything is repaired; clients stop after a while."""
        self.network.cut.clear()
        self.network.thin.clear()
        self.network.storm_until = self.network.echo_until = 0
        self.strikes = self.surgeries = self.strangers.until_ms = 0
        for process in self.processes.values():
            process.lies_until = 0
        self._slow.clear()
        for name, disk in self.disks.items():
            disk.full = disk.crowded = False
            self.soon(1, self.start, name)
        end_maintenance(self)
        self.run_until(self.time + HEAL_MS)
        self.clients_act = False
        self.run_until(self.time + LONG_PATIENCE_MS)

    def _agrees(self) -> bool:
        """One master takes writes, and everybody has applied all that it has."""
        open_ = [one for one in self.processes.values() if one.writer.open]
        if len(open_) != 1 or len(self.processes) < len(self.disks):
            return False
        end = open_[0].disk.end
        master = open_[0].member.master
        if master is None or any(row.no_space for row in master.replicas(self.time)):
            return False
        return self._is_home() and all(
            disk.end == end and (name.startswith("w") or disk.applied == end)
            for name, disk in self.disks.items()
        )

    def _is_home(self) -> bool:
        """Each of a chain follows the upstream that it was given, where it can."""
        found = [self.processes[name].member.replica for name in self.plan.chained]
        return not self.plan.comes_home or all(
            replica is not None
            and replica.passes_on
            and replica.master_addr == self._addresses_of(name)[0]
            for name, replica in zip(self.plan.chained, found, strict=True)
        )

    def _standing(self) -> str:
        return "; ".join(
            f"{name}: {one.member.elector.state}, epoch {one.member.epoch}, log "
            f"{one.disk.first} to {one.disk.end}, applied {one.disk.applied}, "
            f"{one.member.replica.state if one.member.replica else 'no replica'} "
            f"{one.member.replica.master_addr if one.member.replica else ''} "
            f"{one.member.replica.last_error if one.member.replica else ''}"
            for name, one in sorted(self.processes.items())
        )

    def _check_the_end(self) -> None:
        databases = {
            name: disk for name, disk in self.disks.items() if not name.startswith("w")
        }
        self.checkers.at_the_end(databases)
        if self.plan.mode is Mode.SYNC and not self.plan.is_weak:
            clients = self.clients
            told = explain(one for own in clients for one in own.whole_history())
            if told:
                raise RuleError(f"not linearizable: {told}")
