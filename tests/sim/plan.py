"""What befalls a simulated cluster: made from a seed, readable, easy to cut down."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from typing_extensions import override

from nexus.model.cluster import Mode

CALM_MS: Final = 400
"""Nothing happens before: a first master is elected."""

STRESS_MS: Final = 3_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that happens to the cluster, at a virtual time."""

    at_ms: int
    kind: str
    nodes: tuple[str, ...] = ()
    for_ms: int = 0
    amount: int = 0

    @override
    def __str__(self) -> str:
        what = f"at {self.at_ms} ms: {self.kind} {' '.join(self.nodes)}".rstrip()
        lasts = f" for {self.for_ms} ms" if self.for_ms else ""
        return what + lasts + (f" ({self.amount})" if self.amount else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run: the same plan gives the same run, event by event."""

    seed: int
    voters: tuple[str, ...]
    learners: tuple[str, ...] = ()
    mode: Mode = Mode.SYNC
    clients: int = 3
    drift_percent: tuple[int, ...] = ()
    loss_percent: int = 0
    faults: tuple[Fault, ...] = ()
    stress_ms: int = STRESS_MS
    sync_quorum: int = 0
    """Voters that must hold an entry in sync mode; 0: a majority."""

    hold: int = 0
    """Entries that a witness's log may grow to; 0: any number."""

    chained: tuple[str, ...] = ()
    """Learners each of which follows the one before it, the first one a voter."""

    ring: bool = False
    """Whether the first one, too, was given the last one, by mistake."""

    comes_home: bool = False
    """Whether in the end each of them must follow the one that it was given."""

    @property
    def is_weak(self) -> bool:
        """Whether less than a majority is asked for: then a failover may lose."""
        return 0 < self.sync_quorum <= len(self.voters) // 2

    @property
    def may_diverge(self) -> bool:
        """Whether a database may hold what no majority does, and take it back."""
        return self.mode is Mode.ASYNC or self.is_weak

    @property
    def nodes(self) -> tuple[str, ...]:
        """All of them; those whose names begin with `w` are witnesses."""
        return self.voters + self.learners

    def without(self, start: int, stop: int) -> "Plan":
        """This plan without some of its faults."""
        return replace(self, faults=self.faults[:start] + self.faults[stop:])

    @override
    def __str__(self) -> str:
        asked = f" by {self.sync_quorum}" if self.sync_quorum else ""
        head = (
            f"seed {self.seed}: voters {' '.join(self.voters)}, "
            f"learners {' '.join(self.learners) or 'none'}, {self.mode}{asked}, "
            f"{self.clients} clients, drift {self.drift_percent} %, "
            f"{self.loss_percent} % of votes lost, {self.stress_ms} ms"
        )
        return "\n".join([head, *(f"  {fault}" for fault in self.faults)])


SHAPES: Final = (
    (("a", "b", "c"), ()),
    (("a", "b", "c"), ()),
    (("a", "b", "c"), ("d",)),
    (("a", "b", "w"), ()),
    (("a", "b", "w"), ()),
    (("a", "b", "c", "d", "e"), ()),
    (("a", "b", "c", "w"), ()),
    (("a", "b"), ("c",)),
)

KINDS: Final = {
    "crash": 6,
    "crash master": 5,
    "pause": 4,
    "pause master": 4,
    "isolate": 4,
    "isolate master": 4,
    "deafen": 3,
    "mute": 3,
    "fade": 2,
    "split": 3,
    "slow disk": 3,
    "full disk": 2,
    "jump": 3,
    "break": 4,
    "switchover": 4,
    "campaign": 2,
    "retain": 3,
    "maintenance": 1,
    "add voter": 1,
    "remove voter": 1,
    "storm": 2,
    "strike": 3,
    "usurp": 3,
    "daze": 6,
    "crash all": 1,
}
"""How often each kind happens, beside the others."""


def any_plan_of(seed: int) -> Plan:
    """What `make sim` makes of a seed: clusters of voters mostly, all else too."""
    return KINDS_OF_PLANS.get(seed % 10, plan_of)(seed)


def plan_of(seed: int) -> Plan:
    """The plan that a seed stands for."""
    plan, chance = later_plan_of(seed), random.Random(~seed * 5)
    faults = [_halt(chance, plan.nodes) for _ in range(chance.choice((0, 0, 1, 2)))]
    return replace(plan, faults=in_order(*plan.faults, *faults))


def _halt(chance: random.Random, names: tuple[str, ...]) -> Fault:
    """An operator pauses a replica, or the master's streams; then goes on."""
    at_ms, for_ms = chance.randrange(CALM_MS, STRESS_MS), chance.choice(LASTING_MS)
    if chance.random() < 0.2:
        return Fault(at_ms, "halt master", (), for_ms)
    amount = chance.choice((0, 0, 3, 12))
    return Fault(at_ms, "halt", (chance.choice(names),), for_ms, amount)


def in_order(*faults: Fault) -> tuple[Fault, ...]:
    """As they happen."""
    return tuple(sorted(faults, key=lambda fault: fault.at_ms))


def later_plan_of(seed: int) -> Plan:
    """What the seed stood for before an operator paused anything."""
    return _beset(early_plan_of(seed), random.Random(~seed))


def early_plan_of(seed: int) -> Plan:
    """What the seed stood for at first, before there were later kinds."""
    chance = random.Random(seed)
    voters, learners = chance.choice(SHAPES)
    names = voters + learners
    count = chance.randrange(3, 13)
    times = sorted(chance.randrange(CALM_MS, STRESS_MS) for _ in range(count))
    return Plan(
        seed=seed,
        voters=voters,
        learners=learners,
        mode=Mode.ASYNC if chance.random() < 0.25 else Mode.SYNC,
        clients=chance.randrange(2, 5),
        drift_percent=tuple(chance.randrange(-3, 4) for _ in names),
        loss_percent=chance.choice((0, 0, 2, 10)),
        faults=tuple(_fault(chance, at_ms, names) for at_ms in times),
    )


LATER_KINDS: Final = {
    "surgery": 5,
    "echo": 4,
    "lie": 4,
    "stranger": 4,
    "wipe": 2,
    "replace": 2,
    "leap": 3,
}
"""What else can happen; kept apart, so that early seeds stay the runs that they are."""


def _beset(plan: Plan, chance: random.Random) -> Plan:
    """The plan with some of the later kinds, and perhaps another quorum."""
    faults = list(plan.faults)
    for _ in range(chance.randrange(4)):
        kind = chance.choices(list(LATER_KINDS), list(LATER_KINDS.values()))[0]
        at_ms = chance.randrange(CALM_MS, STRESS_MS)
        node, for_ms = chance.choice(plan.nodes), chance.choice(LASTING_MS)
        kinds = {fault.kind for fault in faults}
        # The other voters must be a majority that keeps its disks.
        if kind in LOSES_DISK and (kinds & LOSES_DISK or len(plan.voters) < 3):
            continue
        nodes = () if kind in LATER_OF_NOBODY else (node,)
        amount = chance.randrange(1, 4) if kind == "surgery" else 0
        faults.append(Fault(at_ms, kind, nodes, for_ms, amount))
    quorum = 0
    replaced = any(fault.kind == "replace" for fault in faults)
    if plan.mode is Mode.SYNC and not replaced and chance.random() < 0.2:
        quorum = chance.randint(1, len(plan.voters))
    return replace(plan, faults=in_order(*faults), sync_quorum=quorum)


def chain_of(seed: int) -> Plan:
    """The plan of a seed with a chain of replicas; the last one applies late."""
    plan, chance = plan_of(seed), random.Random(~seed * 2)
    chain = ("x", "y", "z")
    broken = [
        Fault(chance.randrange(CALM_MS, STRESS_MS), kind, (chance.choice(chain),), 300)
        for kind in chance.choices(("crash", "pause", "isolate", "retain", "halt"), k=3)
    ]
    drift = (*plan.drift_percent, 1, -2, 3)
    return replace(
        plan,
        learners=plan.learners + chain,
        chained=chain,
        drift_percent=drift if plan.drift_percent else (),
        faults=in_order(*plan.faults, *broken),
    )


def plan_of_homecoming(seed: int) -> Plan:
    """Replicas of a chain lose the upstream that they were given, which comes back.

    Now and then the chain is a ring, which nobody can close.
    """
    chance = random.Random(~seed * 7)
    voters, chain = ("a", "b", "c"), ("x", "y", "z")
    faults = [
        Fault(
            chance.randrange(CALM_MS, 2_000),
            chance.choice(("crash", "pause", "isolate", "halt")),
            (chance.choice(("a", "x", "y")),),
            chance.choice(LASTING_MS[2:]),
        )
        for _ in range(chance.randrange(1, 4))
    ]
    for kind in chance.choices(("crash master", "switchover", "retain"), k=1):
        node = () if kind in OF_MASTER else (chance.choice(voters),)
        faults.append(Fault(chance.randrange(CALM_MS, STRESS_MS), kind, node, 150))
    ring = chance.random() < 0.25
    return Plan(
        seed,
        voters,
        chain,
        Mode.ASYNC if chance.random() < 0.25 else Mode.SYNC,
        clients=2,
        faults=in_order(*faults),
        chained=chain,
        ring=ring,
        comes_home=not ring,
    )


def forgetful(plan: Plan) -> Plan | None:
    """The plan in which a voter's disk also loses what it had synced last.

    None where the others would be no majority that keeps its disks, or the only other
    database could be asked to take back what it cannot.
    """
    others = LOSES_DISK & {fault.kind for fault in plan.faults}
    databases = [name for name in plan.voters if not name.startswith("w")]
    if len(plan.voters) < 3 or others or (plan.may_diverge and len(databases) < 3):
        return None
    at_ms = 1_200 + plan.seed * 13 % 1_500
    rot = Fault(at_ms, "rot", plan.voters[:1], 200, amount=4)
    return replace(plan, faults=(*plan.faults, rot))


def restored(plan: Plan) -> Plan | None:
    """The plan in which an older copy of a voter's directory is put back.

    None where `forgetful` is none: that voter does not vote before a master is there.
    """
    forgets = forgetful(plan)
    if forgets is None:
        return None
    chance = random.Random(~plan.seed * 17)
    at_ms, later_ms = chance.randrange(CALM_MS, 1_500), chance.randrange(50, 1_200)
    kept = Fault(at_ms, "restore", forgets.faults[-1].nodes, amount=later_ms)
    return replace(plan, faults=in_order(*plan.faults, kept))


def thinned(plan: Plan) -> Plan:
    """The plan with lines over which a node is sent things slowly, or next to nothing.

    One alone, or some at once.
    """
    chance = random.Random(~plan.seed * 11)
    faults = [
        Fault(
            chance.randrange(CALM_MS, STRESS_MS),
            chance.choice(("drip", "thin line")),
            (name,),
            chance.choice(LASTING_MS[1:]),
            chance.choice((1, 40, 400)),
        )
        for name in chance.sample(plan.nodes, chance.randrange(1, len(plan.nodes)))
    ]
    return replace(plan, faults=in_order(*plan.faults, *faults))


def filled(plan: Plan) -> Plan:
    """The plan with disks that have no room for a while: of masters, or of any node."""
    chance = random.Random(~plan.seed * 13)
    faults = list(plan.faults)
    for _ in range(chance.randrange(1, 5)):
        kind, at_ms = chance.choice(("fill", "fill master")), chance.randrange(2_600)
        nodes = () if kind in LATER_OF_NOBODY else (chance.choice(plan.nodes),)
        faults.append(Fault(CALM_MS + at_ms, kind, nodes, chance.choice(LASTING_MS)))
        # A change of the voters may be what then finds no room.
        change = chance.choice(("maintenance", "add voter", "remove voter"))
        lost = LOSES_DISK & {fault.kind for fault in faults}
        if change not in LOSES_DISK or not (lost or len(plan.voters) < 3):
            node, later_ms = chance.choice(plan.nodes), chance.randrange(20, 300)
            nodes = () if change in OF_NOBODY else (node,)
            faults.append(Fault(CALM_MS + at_ms + later_ms, change, nodes, 400))
    return replace(plan, faults=in_order(*faults))


def plan_with(kind: str, seed: int) -> Plan:
    """A plan of three voters or more in which this is sure to happen, and again."""
    chance = random.Random(~seed)
    voters, learners = chance.choice([one for one in SHAPES if len(one[0]) > 2])
    names = voters + learners
    times = sorted(chance.randrange(CALM_MS, STRESS_MS) for _ in range(5))
    kinds = {kind} if kind in LOSES_DISK else set()
    faults = [
        fault
        for at_ms in times
        if (fault := _fault(chance, at_ms, names)).kind not in LOSES_DISK
    ]
    for at_ms in times[: 1 if kinds else 3]:
        nodes = () if kind in LATER_OF_NOBODY else (chance.choice(names),)
        faults.append(Fault(at_ms, kind, nodes, chance.choice(LASTING_MS), 3))
    faults.sort(key=lambda fault: fault.at_ms)
    # In async mode a deposed master has rows to take back.
    mode = Mode.ASYNC if kind == "surgery" and seed % 2 else Mode.SYNC
    return Plan(seed, voters, learners, mode, faults=tuple(faults))


def plan_of_switchovers(seed: int) -> Plan:
    """Two voters that hand over to each other again and again, under many writes."""
    chance = random.Random(~seed)
    faults: list[Fault] = []
    for at_ms in range(CALM_MS, STRESS_MS, 200):
        heir, later = chance.choice("ab"), at_ms + chance.randrange(100)
        faults.append(Fault(at_ms, "storm", (), LASTING_MS[-1]))
        faults.append(Fault(later, "switchover", (heir,), LASTING_MS[-1]))
    return Plan(seed, ("a", "b"), (), faults=tuple(faults))


def plan_of_absence(seed: int) -> Plan:
    """A voter is away for long, while the witness's log has a small cap."""
    chance = random.Random(~seed * 3)
    voters = chance.choice((("a", "b", "w"), ("a", "b", "w"), ("a", "b", "c", "w")))
    away, at_ms = chance.choice(voters[:-1]), chance.randrange(CALM_MS, 900)
    faults = [Fault(at_ms, "isolate", (away,), 2_000)]
    if chance.random() < 0.5:
        faults.append(Fault(at_ms + chance.randrange(900), "part", (away,), 1_000))
    kinds = ("crash", "crash master", "pause", "break", "retain", "switchover", "jump")
    for kind in chance.choices(kinds, k=chance.randrange(5)):
        node = () if kind in OF_MASTER else (chance.choice(voters),)
        amount = 400 if kind == "jump" else 0
        when = chance.randrange(CALM_MS, STRESS_MS)
        faults.append(Fault(when, kind, node, chance.choice(LASTING_MS), amount))
    faults.sort(key=lambda fault: fault.at_ms)
    return Plan(
        seed,
        voters,
        mode=Mode.ASYNC if chance.random() < 0.25 else Mode.SYNC,
        clients=8,
        faults=tuple(faults),
        hold=chance.choice((8, 12, 24)),
    )


LATER_OF_NOBODY: Final = {"surgery", "echo", "stranger", "leap", "fill master"}
LOSES_DISK: Final = {"wipe", "replace", "remove voter"}
OF_MASTER: Final = {"crash master", "pause master", "isolate master", "fade", "daze"}
OF_NOBODY: Final = {"maintenance", "storm"} | OF_MASTER
LASTING_MS: Final = (30, 150, 400, 700, 1_200)


def _fault(chance: random.Random, at_ms: int, names: tuple[str, ...]) -> Fault:
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
    for_ms = chance.choice(LASTING_MS)
    match kind:
        case "split":
            size = chance.randrange(1, len(names))
            return Fault(at_ms, kind, tuple(sorted(chance.sample(names, size))), for_ms)
        case "crash all":
            return Fault(at_ms, kind, names)
        case "jump":
            amount = chance.choice((50, 200, 400, 900))
            return Fault(at_ms, kind, (chance.choice(names),), amount=amount)
        case "strike":
            return Fault(at_ms, kind, amount=chance.randrange(2, 6))
        case "usurp":
            return Fault(at_ms, kind, tuple(chance.sample(names, 3)), 900)
        case _:
            nodes = () if kind in OF_NOBODY else (chance.choice(names),)
            return Fault(at_ms, kind, nodes, for_ms)


KINDS_OF_PLANS: Final[dict[int, Callable[[int], Plan]]] = {
    3: lambda seed: restored(plan_of(seed)) or plan_of(seed),
    4: lambda seed: filled(plan_of(seed)),
    5: lambda seed: thinned(plan_of(seed)),
    6: lambda seed: forgetful(plan_of(seed)) or plan_of(seed),
    7: plan_of_absence,
    8: chain_of,
    9: plan_of_homecoming,
}
"""By a seed's last digit."""
