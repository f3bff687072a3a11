"""What an archive need not keep any longer. Pure: a listing in, names out.

A snapshot or run goes only when a newer snapshot of the same history makes it needless
for every moment of the window; see "What always holds" in the concept. No single clock
decides how old a snapshot is: one that is years ahead would delete everything.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from nexus.archive.inventory import Inventory, is_newest
from nexus.archive.names import RunName, SnapshotName
from nexus.model.position import EpochHistory, Offset

GRACE_S: Final = 600
"""A snapshot must be as old before others go for its sake: a master that was forced
meanwhile, and builds on them, has shown itself in the archive by then."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is to stay."""

    age_s: int
    """Every moment of so long ago can be restored."""
    count: int
    """So many snapshots stay at least."""
    step_s: int
    """The most that may lie between two snapshots. What their times say beyond that may
    be a clock that was wrong, so it is no age."""


def needless(
    inventory: Inventory, history: EpochHistory, window: Window, now_us: int
) -> list[str]:
    """The objects that nobody needs for any moment of the window; oldest first.

    Not a single one while another master's reign is as new as this history's own.
    """
    if not is_newest(inventory, history.position_at(_end(history))):
        return []
    base = _oldest_needed(inventory, history, window, now_us)
    if base is None:
        return []
    old = [one for one in inventory.snapshots if _is_before(one, base, history)]
    runs = [one for one in inventory.runs if _is_before(one, base, history)]
    kept = inventory.without(*old, *runs)
    used = {one.reign for one in kept.runs} | {one.reign for one in kept.snapshots}
    reigns = [
        one.history
        for one in inventory.histories
        if one not in used and one.epoch < base.reign.epoch
    ]
    return [*map(str, sorted(old)), *map(str, sorted(runs)), *sorted(reigns)]


def _end(history: EpochHistory) -> Offset:
    return history.reigns[-1].first_offset if history.reigns else Offset(0)


def _oldest_needed(
    inventory: Inventory, history: EpochHistory, window: Window, now_us: int
) -> SnapshotName | None:
    """The snapshot from which the oldest moment of the window is restored.

    None while all are needed.
    """
    snapshots = inventory.snapshots_of(history)
    ages_us = _ages(snapshots, window.step_s * 1_000_000, now_us)
    least_us = max(window.age_s, GRACE_S) * 1_000_000
    outside = [
        one
        for one, age_us in zip(snapshots, ages_us, strict=True)
        if age_us >= least_us
    ]
    counted = snapshots[-window.count :]
    if not outside or not counted:
        return None
    return min(outside[-1], counted[0], key=lambda one: one.offset)


def _ages(snapshots: list[SnapshotName], step_us: int, now_us: int) -> list[int]:
    """How old each is at least, by the steps from one to the next."""
    age_us, later_us = 0, now_us
    found = []
    for one in reversed(snapshots):
        age_us += min(max(later_us - one.time_us, 0), step_us)
        later_us = one.time_us
        found.append(age_us)
    return found[::-1]


def _is_before(
    name: RunName | SnapshotName, base: SnapshotName, history: EpochHistory
) -> bool:
    """Whether it serves only moments before `base`, of this history or of a fork."""
    match name:
        case RunName():
            time_us, is_covered = name.earliest_us, name.last <= base.offset
            is_ours = any(
                (one.epoch, one.history_id) == (name.reign.epoch, name.reign.history_id)
                for one in history.reigns
            )
        case SnapshotName():
            time_us, is_covered = name.time_us, name.offset < base.offset
            is_ours = history.position_at(name.offset) == name.position
        case _:
            assert_never(name)
    if is_ours:
        return is_covered
    # Of a fork: it goes once it is older than anything that stays.
    return name.reign.epoch < history.epoch and time_us < base.time_us
