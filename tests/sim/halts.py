"""An operator's pause: of a replica's apply, up to an entry too, or of all streams.

As node/holding does it: the catalog first, then the queue, the machine, and last the
batch that is being applied just then, which ends.
"""

from typing import TYPE_CHECKING

from nexus.model.entry import Record
from nexus.model.position import Offset
from nexus.replication.effects import Apply
from sim.plan import Fault

if TYPE_CHECKING:
    from sim.node import Process
    from sim.world import World

AGAIN_MS = 50


def halt(world: "World", fault: Fault) -> None:
    """Of the node that is named, else of the master; after a while it may go on."""
    reigning = [one for one in world.processes.values() if one.member.master]
    name = fault.nodes[0] if fault.nodes else ""
    process = world.processes.get(name or (reigning[0].name if reigning else ""))
    if process is None or process.paused:
        return
    world.soon(fault.for_ms, release, world, process.name)
    if process.member.master is not None:
        process.take(process.member.master.pause())
    elif process.member.replica is not None and not process.witness:
        _hold(process)
        if fault.amount:
            few = world.chance.randrange(6)
            world.later(process, few, _choose, process, fault.amount)


def _hold(process: "Process") -> None:
    disk, replica = process.disk, process.member.replica
    assert replica is not None, "a replica applies"
    ends = disk.applied
    if process.applying and process.world.chance.random() < 0.5:
        ends = max(ends, process.batch_end)
    disk.chosen = _entries(process, ends)
    kept = [one for one in process.queue if not isinstance(one, Apply)]
    process.queue.clear()
    process.queue.extend(kept)
    process.goal = disk.applied
    process.take(replica.pause())
    process.apply_through(ends)


def _choose(process: "Process", more: int) -> None:
    """It is to apply so many entries more, where it has received them."""
    disk, replica = process.disk, process.member.replica
    if replica is None or disk.chosen is None or disk.applied >= disk.durable:
        return
    last = Offset(min(disk.applied + more, disk.durable))
    disk.chosen = _entries(process, last)
    process.take(replica.apply_until(last, process.now()))


def _entries(process: "Process", last: Offset) -> frozenset[Record]:
    """What the operator wants applied, and no other entries of these numbers."""
    disk = process.disk
    return frozenset(one for one in disk.log if disk.applied < one.offset <= last)


def release(world: "World", name: str) -> None:
    """The operator tries again and again until the node goes on."""
    process = world.processes.get(name)
    if process is None or process.paused:
        world.soon(AGAIN_MS, release, world, name)
        return
    member, disk = process.member, process.disk
    if member.master is not None and member.master.paused:
        process.take(member.master.resume(None, process.now()))
    if member.replica is not None and disk.chosen is not None:
        disk.chosen = None
        at_once = world.chance.random() < 0.5
        process.take(member.replica.resume(process.now(), at_once=at_once))
    # A reign that takes writes has forgotten it; another one has not yet.
    if disk.chosen is not None:
        world.soon(AGAIN_MS, release, world, name)
