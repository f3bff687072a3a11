"""How each kind of fault is brought about."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from nexus.errors import WrongRoleError
from nexus.model.cluster import NodeId
from nexus.model.operation import Configuration
from nexus.replication.following.link import SIGN_BYTES
from sim.halts import halt
from sim.network import place_of
from sim.plan import Fault

if TYPE_CHECKING:
    from sim.disk import Disk
    from sim.node import Process
    from sim.world import World


def _master(world: "World") -> "Process | None":
    reigning = [one for one in world.processes.values() if one.member.master]
    return max(reigning, key=lambda one: one.member.epoch, default=None)


def _named(world: "World", fault: Fault) -> str:
    """The node that is meant: the master where the fault names none."""
    master = _master(world)
    if fault.nodes:
        return fault.nodes[0]
    return master.name if master else world.plan.nodes[0]


def _crash(world: "World", fault: Fault) -> None:
    for name in fault.nodes or (_named(world, fault),):
        world.crash(name, fault.for_ms)


def _pause(world: "World", fault: Fault) -> None:
    world.pause(_named(world, fault), fault.for_ms)


def _cut(world: "World", pairs: list[tuple[str, str]], for_ms: int) -> None:
    for pair in pairs:
        world.network.sever(*pair, for_ms)


def _around(world: "World", fault: Fault, *, hears: bool, speaks: bool) -> None:
    name = _named(world, fault)
    others = [other for other in world.plan.nodes if other != name]
    heard = [(other, name) for other in others if not hears]
    spoken = [(name, other) for other in others if not speaks]
    _cut(world, heard + spoken, fault.for_ms)


def _isolate(world: "World", fault: Fault) -> None:
    _around(world, fault, hears=False, speaks=False)


def _deafen(world: "World", fault: Fault) -> None:
    _around(world, fault, hears=False, speaks=True)


def _drip(world: "World", fault: Fault) -> None:
    """A few bytes of what is sent to a node come now and then, the rest later."""
    _thins(world, fault, part_bytes=fault.amount)


def _thin_line(world: "World", fault: Fault) -> None:
    """What is sent to a node takes long, as a large entry does, and does come."""
    _thins(world, fault, part_bytes=SIGN_BYTES // 2)


def _thins(world: "World", fault: Fault, *, part_bytes: int) -> None:
    name, until = fault.nodes[0], world.time + fault.for_ms
    for other in world.plan.nodes:
        if other != name:
            world.network.thin[other, name] = (until, part_bytes)


def _mute(world: "World", fault: Fault) -> None:
    _around(world, fault, hears=True, speaks=False)


def _fade(world: "World", fault: Fault) -> None:
    """The master's answers come late, then it is alone."""
    name = _named(world, fault)
    others = [other for other in world.plan.nodes if other != name]
    _cut(world, [(other, name) for other in others], 130)
    alone = Fault(0, "isolate", (name,), fault.for_ms)
    world.soon(200, _isolate, world, alone)


def _strike(world: "World", fault: Fault) -> None:
    """The master crashes, and so do the next few, as soon as they reign."""
    world.strikes = fault.amount
    world.crash(_named(world, fault))


def _usurp(world: "World", fault: Fault) -> None:
    """One node loses sight of the master; later another one crashes."""
    name = _named(world, Fault(0, ""))
    one, other, *_ = [node for node in fault.nodes if node != name]
    _cut(world, [(name, one), (one, name)], fault.for_ms)
    world.soon(450, world.crash, other)


def _daze(world: "World", fault: Fault) -> None:
    """The master stands still; when it goes on, only clients reach it for a while."""
    name = _named(world, fault)
    _isolate(world, Fault(0, "isolate", (name,), fault.for_ms + 300))
    world.pause(name, fault.for_ms)


def _rot(world: "World", fault: Fault) -> None:
    """A node crashes, and its disk has lost what it had synced last."""
    world.crash(fault.nodes[0], fault.for_ms)
    world.disks[fault.nodes[0]].rot(fault.amount)


def _restore(world: "World", fault: Fault) -> None:
    """A node crashes, and an older copy of its whole directory is put back."""
    name, older = fault.nodes[0], world.disks[fault.nodes[0]].kept()
    world.soon(fault.amount, _put_back, world, name, older)


def _put_back(world: "World", name: str, older: "Disk") -> None:
    if _another_database(world, name):
        world.crash(name, 100)
        world.disks[name].restored(older)


def _split(world: "World", fault: Fault) -> None:
    inside = set(fault.nodes)
    outside = [name for name in world.plan.nodes if name not in inside]
    pairs = [(one, other) for one in inside for other in outside]
    _cut(world, sorted(pairs + [(b, a) for a, b in pairs]), fault.for_ms)


def _slow(world: "World", fault: Fault) -> None:
    world.slow(fault.nodes[0], fault.for_ms, 80)


def _full(world: "World", fault: Fault) -> None:
    disk = world.disks[fault.nodes[0]]
    disk.full = True

    def freed() -> None:
        disk.full = False

    world.soon(fault.for_ms, freed)


def _fill(world: "World", fault: Fault) -> None:
    """What a node is to store finds no room for a while; nothing is lost."""
    disk = world.disks[_named(world, fault)]
    disk.crowded = True

    def freed() -> None:
        disk.crowded = False

    world.soon(fault.for_ms, freed)


def _jump(world: "World", fault: Fault) -> None:
    world.jump(fault.nodes[0], fault.amount)


def _leap(world: "World", fault: Fault) -> None:
    """The master is alone, and the others' clocks leap: they elect at once."""
    alone = _named(world, fault)
    _isolate(world, Fault(0, "isolate", (alone,), fault.for_ms))
    for name in world.plan.nodes:
        if name != alone:
            world.jump(name, 900)


def _break(world: "World", fault: Fault) -> None:
    world.break_connections(fault.nodes[0])


def _switchover(world: "World", fault: Fault) -> None:
    master = _master(world)
    if master is None or master.paused:
        return
    heirs = [one for one in master.member.voters if one != master.node_id]
    if not heirs:
        return
    heir = next((one for one in heirs if place_of(one) == fault.nodes[0]), heirs[0])
    try:
        master.take(master.member.switchover(heir, master.now()))
    except WrongRoleError:
        return


def _campaign(world: "World", fault: Fault) -> None:
    process = world.processes.get(fault.nodes[0])
    if process is not None and not process.paused:
        process.take(process.member.campaign(process.now()))


def _retain(world: "World", fault: Fault) -> None:
    for process in list(world.processes.values()):
        if process.name != fault.nodes[0]:
            process.retain()


def _maintenance(world: "World", fault: Fault) -> None:
    _configure(world, auto_failover=False)
    world.soon(fault.for_ms, end_maintenance, world)


def end_maintenance(world: "World") -> None:
    """An operator who tries again and again until failover is automatic."""
    resting = [
        one for one in world.processes.values() if not one.member.elector.auto_failover
    ]
    master = _master(world)
    if master is not None and not master.paused and resting:
        _configure(world, auto_failover=True)
    if master is None and resting:
        process = world.chance.choice(resting)
        process.take(process.member.campaign(process.now()))
    world.soon(150, end_maintenance, world)


def _configure(world: "World", *, auto_failover: bool) -> None:
    master = _master(world)
    if master is None or master.paused:
        return
    master.configure(
        _configuration(world, master.member.voters, auto_failover=auto_failover)
    )


def _configuration(
    world: "World", voters: Iterable[NodeId], *, auto_failover: bool = True
) -> Configuration:
    named = tuple((one, place_of(one)) for one in sorted(voters))
    quorum = world.plan.sync_quorum
    return Configuration("cluster", named, auto_failover, sync_quorum=quorum)


def _add_voter(world: "World", fault: Fault) -> None:
    master = _master(world)
    if master is None or master.paused:
        return
    process = world.processes.get(fault.nodes[0])
    if process is not None and process.name not in world.liars:
        master.configure(
            _configuration(world, {*master.member.voters, process.node_id})
        )


def _part(world: "World", fault: Fault) -> None:
    """An operator removes a voter that is away, and tries until it is done."""
    name, until = fault.nodes[0], world.time + fault.for_ms

    def tries(asked: "Process | None" = None) -> None:
        master = _master(world)
        if asked not in (None, master):
            asked.take(asked.member.changes(changes=False, now_ms=asked.now()))
            asked = None
        if master is None or master.paused or master.name == name:
            world.soon(50, tries)
            return
        left = [one for one in master.member.voters if place_of(one) != name]
        is_done = len(left) == len(master.member.voters) or world.time > until
        if is_done:
            master.take(master.member.changes(changes=False, now_ms=master.now()))
            return
        if asked is None and not master.writer.is_idle:
            master.take(master.member.changes(changes=True, now_ms=master.now()))
            asked = master
        master.configure(_configuration(world, left))
        world.soon(3, tries, asked)

    tries()


def _remove_voter(world: "World", fault: Fault) -> None:
    master = _master(world)
    if master is None or master.paused or len(master.member.voters) < 3:
        return
    gone = fault.nodes[0]
    left = [one for one in master.member.voters if place_of(one) != gone]
    master.configure(_configuration(world, left))


def _surgery(world: "World", fault: Fault) -> None:
    """Whoever goes back or is given a snapshot next crashes in the midst of it."""
    world.surgeries = fault.amount


def _echo(world: "World", fault: Fault) -> None:
    """Frames arrive twice, and old ones again."""
    world.network.echo_until = world.time + fault.for_ms


def _lie(world: "World", fault: Fault) -> None:
    """A node says that it holds more than it does."""
    process = world.processes.get(fault.nodes[0])
    if process is not None:
        process.lies_until = world.time + fault.for_ms
        world.liars.add(process.name)


def _stranger(world: "World", fault: Fault) -> None:
    """Nodes of another cluster speak to these, and answer where these dial."""
    world.strangers.meet(fault.for_ms)


def _wipe(world: "World", fault: Fault) -> None:
    """Log and database of a node are gone; its catalog, with its id, is not."""
    if not _another_database(world, fault.nodes[0]):
        return
    world.crash(fault.nodes[0], fault.for_ms)
    world.disks[fault.nodes[0]].wipe()


def _replace(world: "World", fault: Fault) -> None:
    """A node's whole disk is gone; an operator gives its place to the new node."""
    if not _another_database(world, fault.nodes[0]):
        return
    world.replace(fault.nodes[0], fault.for_ms)
    world.soon(fault.for_ms + 300, _gives_place, world, fault.nodes[0])


def _another_database(world: "World", name: str) -> bool:
    """Whether the others can do without: none waits for a snapshot, or will.

    A single other one may have to take back what it cannot, if it may hold such things.
    """
    others = [one for one in world.plan.voters if one != name and one[0] != "w"]
    if world.plan.may_diverge and len(others) < 2:
        return False
    found = [
        process.member.replica is None or process.member.replica.is_settled
        for other, process in world.processes.items()
        if other in world.plan.voters and other != name and not process.witness
    ]
    return bool(found) and all(found)


def _gives_place(world: "World", name: str) -> None:
    """Until it is done: the new one becomes a voter, then the old one is none."""
    master, new = _master(world), world.processes.get(name)
    if master is not None and new is not None and not master.paused:
        voters = set(master.member.voters)
        dead = {one for one in voters if place_of(one) == name} - {new.node_id}
        if not dead:
            return
        both = voters | {new.node_id}
        master.configure(_configuration(world, both if both != voters else both - dead))
    world.soon(150, _gives_place, world, name)


def _storm(world: "World", fault: Fault) -> None:
    world.network.storm_until = world.time + fault.for_ms


TROUBLE: Final[dict[str, Callable[["World", Fault], None]]] = {
    "crash": _crash,
    "crash master": _crash,
    "crash all": _crash,
    "pause": _pause,
    "pause master": _pause,
    "isolate": _isolate,
    "isolate master": _isolate,
    "deafen": _deafen,
    "drip": _drip,
    "thin line": _thin_line,
    "mute": _mute,
    "fade": _fade,
    "rot": _rot,
    "restore": _restore,
    "split": _split,
    "daze": _daze,
    "strike": _strike,
    "usurp": _usurp,
    "slow disk": _slow,
    "full disk": _full,
    "fill": _fill,
    "fill master": _fill,
    "jump": _jump,
    "leap": _leap,
    "break": _break,
    "switchover": _switchover,
    "campaign": _campaign,
    "retain": _retain,
    "maintenance": _maintenance,
    "add voter": _add_voter,
    "remove voter": _remove_voter,
    "part": _part,
    "storm": _storm,
    "surgery": _surgery,
    "echo": _echo,
    "lie": _lie,
    "stranger": _stranger,
    "wipe": _wipe,
    "replace": _replace,
    "halt": halt,
    "halt master": halt,
}
