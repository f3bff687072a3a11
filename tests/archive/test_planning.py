"""Which objects bring a moment back: checked against the plainest reckoning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.keeping import history, reign
from nexus.archive.inventory import Inventory
from nexus.archive.names import ReignName, RunName, SnapshotName
from nexus.archive.planning import (
    Chain,
    coverage,
    gaps,
    held_end,
    newest_first,
    plan_restore,
    resume_after,
)
from nexus.errors import ArchiveIncompleteError
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset

HISTORY = history(reign(1, "aa"), reign(2, "bb", 11), reign(4, "cc", 21))
REIGNS = {"aa": 1, "bb": 2, "cc": 4, "xx": 3}
END = 30


def run(history_id: str, first: int, last: int, earliest_us: int = 0) -> RunName:
    return RunName(named(history_id), Offset(first), Offset(last), earliest_us)


def snapshot(history_id: str, offset: int) -> SnapshotName:
    return SnapshotName(named(history_id), Offset(offset), 0)


def named(history_id: str) -> ReignName:
    return ReignName("c1", Epoch(REIGNS[history_id]), HistoryId(history_id))


def holding(*names: RunName | SnapshotName) -> Inventory:
    return Inventory(
        "c1",
        runs=frozenset(name for name in names if isinstance(name, RunName)),
        snapshots=frozenset(name for name in names if isinstance(name, SnapshotName)),
    )


def offsets_of(
    inventory: Inventory, to: int | None = None, of: EpochHistory = HISTORY
) -> tuple[int, list[tuple[str, int, int]]]:
    plan = plan_restore(inventory, of, None if to is None else Offset(to))
    return plan.snapshot.offset, [
        (piece.run.reign.history_id, piece.first, piece.last) for piece in plan.pieces
    ]


def test_entries_follow_the_newest_snapshot_before_the_moment() -> None:
    inventory = holding(
        snapshot("aa", 2),
        snapshot("aa", 6),
        run("aa", 3, 5),
        run("aa", 6, 10),
        run("bb", 11, 20),
    )

    assert offsets_of(inventory) == (6, [("aa", 7, 10), ("bb", 11, 20)])
    assert offsets_of(inventory, 15) == (6, [("aa", 7, 10), ("bb", 11, 15)])
    assert offsets_of(inventory, 6) == (6, [])
    assert offsets_of(inventory, 5) == (2, [("aa", 3, 5)])


def test_what_a_deposed_master_archived_behind_the_fork_is_left_out() -> None:
    inventory = holding(
        snapshot("aa", 2), run("aa", 3, 14), run("bb", 11, 12), snapshot("aa", 13)
    )

    assert offsets_of(inventory) == (2, [("aa", 3, 10), ("bb", 11, 12)])
    alone = history(reign(1, "aa"))
    assert offsets_of(inventory, of=alone) == (13, [("aa", 14, 14)])


def test_missing_entries_are_named_with_the_last_moment_before() -> None:
    inventory = holding(snapshot("aa", 2), run("aa", 3, 4), run("aa", 8, 9))

    with pytest.raises(
        ArchiveIncompleteError,
        match=r"entries 5 to 7 .*entry 9 cannot be restored; --to-offset 4 ",
    ):
        plan_restore(inventory, HISTORY, None)
    with pytest.raises(ArchiveIncompleteError, match=r"entries 10 to 25 and whatever"):
        plan_restore(holding(snapshot("aa", 9)), HISTORY, Offset(25))
    assert offsets_of(inventory, 4) == (2, [("aa", 3, 4)])


def test_without_a_snapshot_there_is_nothing_to_begin_from() -> None:
    with pytest.raises(ArchiveIncompleteError, match="there is no snapshot"):
        plan_restore(holding(run("aa", 1, 4)), HISTORY, None)
    with pytest.raises(ArchiveIncompleteError, match=r"oldest moment .* entry 5, and"):
        plan_restore(holding(snapshot("aa", 5)), HISTORY, Offset(4))


def test_a_later_snapshot_closes_a_gap() -> None:
    inventory = holding(
        snapshot("aa", 2), run("aa", 3, 4), snapshot("aa", 9), run("aa", 10, 10)
    )

    assert coverage(inventory, HISTORY) == 10
    assert offsets_of(inventory) == (9, [("aa", 10, 10)])


def test_what_is_missing_before_more_is_told() -> None:
    assert gaps(holding(snapshot("aa", 2), run("aa", 3, 4)), HISTORY) == []
    holed = (snapshot("aa", 2), run("aa", 3, 4), run("aa", 7, 8))
    assert gaps(holding(*holed), HISTORY) == [(5, 6)]
    assert gaps(holding(*holed, snapshot("aa", 10)), HISTORY) == [(5, 6)]
    assert gaps(holding(snapshot("aa", 2), snapshot("aa", 9)), HISTORY) == [(3, 8)]


def test_a_log_goes_on_at_the_first_hole_that_it_can_fill() -> None:
    inventory = holding(snapshot("aa", 2), run("aa", 3, 4), snapshot("aa", 9))

    assert resume_after(inventory, HISTORY, Offset(1)) == 4
    assert resume_after(inventory, HISTORY, Offset(5)) == 4
    assert resume_after(inventory, HISTORY, Offset(6)) == 9
    assert resume_after(inventory, HISTORY, Offset(20)) == 9
    assert resume_after(holding(), HISTORY, Offset(1)) is None


def test_nothing_covers_an_empty_archive() -> None:
    assert coverage(holding(), HISTORY) is None
    assert held_end(holding(), HISTORY) == 0
    assert Chain(holding(run("bb", 11, 12)), HISTORY).reach(Offset(0)) == 0


def test_runs_that_may_hold_a_time_come_newest_first() -> None:
    inventory = holding(
        run("aa", 1, 5, 100), run("aa", 6, 12, 200), run("bb", 11, 15, 300)
    )

    found = newest_first(inventory, HISTORY, 250)

    assert [(piece.first, piece.last) for piece in found] == [(6, 10), (1, 5)]


RUNS = st.builds(
    lambda of, first, length: run(of, first, first + length),
    st.sampled_from(sorted(REIGNS)),
    st.integers(1, END),
    st.integers(0, 12),
)
SNAPSHOTS = st.builds(snapshot, st.sampled_from(sorted(REIGNS)), st.integers(1, END))


def plainly_held(inventory: Inventory) -> set[int]:
    """Each entry of the history that some run holds, reckoned one by one."""
    return {
        offset
        for offset in range(1, 2 * END)
        for one in inventory.runs
        if one.first <= offset <= one.last
        and one.reign.history_id == HISTORY.position_at(Offset(offset)).history_id
    }


@given(st.lists(RUNS, max_size=12), st.lists(SNAPSHOTS, max_size=3))
def test_a_plan_holds_each_entry_once_in_order_and_from_its_own_reign(
    runs: list[RunName], snapshots: list[SnapshotName]
) -> None:
    inventory = holding(*runs, *snapshots)
    held = plainly_held(inventory)
    usable = [one.offset for one in inventory.snapshots_of(HISTORY)]

    for wanted in range(1, END + 1):
        base = max((one for one in usable if one <= wanted), default=None)
        possible = base is not None and set(range(base + 1, wanted + 1)) <= held
        if not possible:
            with pytest.raises(ArchiveIncompleteError):
                plan_restore(inventory, HISTORY, Offset(wanted))
            continue
        plan = plan_restore(inventory, HISTORY, Offset(wanted))
        offsets = [
            offset
            for piece in plan.pieces
            for offset in range(piece.first, piece.last + 1)
        ]
        assert plan.offset == wanted
        assert offsets == list(range(plan.snapshot.offset + 1, wanted + 1))
        for piece in plan.pieces:
            assert piece.run.first <= piece.first <= piece.last <= piece.run.last
            position = HISTORY.position_at(piece.last)
            assert position.history_id == piece.run.reign.history_id
            assert position.history_id == HISTORY.position_at(piece.first).history_id


@given(st.lists(RUNS, max_size=12), st.lists(SNAPSHOTS, max_size=3))
def test_what_is_covered_can_be_restored_and_nothing_further(
    runs: list[RunName], snapshots: list[SnapshotName]
) -> None:
    inventory = holding(*runs, *snapshots)
    covered = coverage(inventory, HISTORY)

    if covered is None:
        assert not inventory.snapshots_of(HISTORY)
        return
    assert plan_restore(inventory, HISTORY, covered).offset == covered
    with pytest.raises(ArchiveIncompleteError):
        plan_restore(inventory, HISTORY, Offset(covered + 1))
