"""What replaces a node's log and database, step by step: a crash may come between.

Hard case 2: the intent is in the catalog, then the database changes, synced, then the
log; at the next start the database tells how far it came.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus.model.entry import Record
from nexus.model.position import Offset
from sim.disk import Copy, Disk

if TYPE_CHECKING:
    from sim.node import Process


@dataclass(slots=True)
class Intent:
    """What was begun, as the catalog keeps it."""

    kind: str
    to: Offset
    copy: Copy | None
    before: tuple[Record, ...]
    """The database's rows: stands for its position."""
    has_base: bool = False
    """On a witness: whether the catalog says already where its log will begin."""


def lost_in(process: "Process", steps: list[Callable[[], None]]) -> bool:
    """Whether a crash comes within; so many of the steps are done before it."""
    world = process.world
    if not world.surgeries:
        return False
    world.surgeries -= 1
    for step in steps[: world.chance.randint(1, len(steps))]:
        step()
    world.crash(process.name)
    return True


def lost_in_rewind(process: "Process", to: Offset) -> bool:
    """Whether the node crashes while it goes back to `to`."""
    disk = process.disk
    intent = Intent("rewind", to, None, tuple(disk.rows))
    return lost_in(
        process,
        [
            lambda: begin(disk, intent),
            lambda: take_rows_back(disk, to),
            lambda: process.gone(disk.cut(to)),
            lambda: end(disk),
        ],
    )


def lost_in_install(process: "Process", copy: Copy) -> bool:
    """Whether the node crashes while a snapshot takes the place of its data."""
    disk, witness = process.disk, process.witness
    intent = Intent("install", copy.offset, copy, tuple(disk.rows))
    return lost_in(
        process,
        [
            lambda: begin(disk, intent),
            lambda: put_rows(disk, intent, witness=witness),
            lambda: process.gone(disk.restart(copy)),
            lambda: end(disk),
        ],
    )


def begin(disk: Disk, intent: Intent) -> None:
    """Synced: from here on a start looks how far it came."""
    disk.intent = intent


def take_rows_back(disk: Disk, to: Offset) -> None:
    """One transaction, synced."""
    del disk.rows[to:]
    disk.rows_synced = len(disk.rows)


def put_rows(disk: Disk, intent: Intent, *, witness: bool) -> None:
    """One transaction, synced; a witness notes in its catalog what it begins with."""
    assert intent.copy is not None, "a snapshot is installed"
    intent.has_base = witness
    if not witness:
        disk.rows = list(intent.copy.rows)
        disk.rows_synced = len(disk.rows)


def end(disk: Disk) -> None:
    """Database and log agree."""
    disk.intent = None


def resolve(process: "Process") -> None:
    """At start: end what had begun, as the database says."""
    disk, intent = process.disk, process.disk.intent
    if intent is None:
        return
    if intent.copy is None:
        if disk.applied <= intent.to:
            process.gone(disk.cut(intent.to))
    elif intent.has_base or tuple(disk.rows) == intent.copy.rows:
        process.gone(disk.restart(intent.copy))
    end(disk)
