"""What goes makes no moment of the window unrestorable."""

from hypothesis import given
from hypothesis import strategies as st

from archive.keeping import history, reign
from nexus.archive.inventory import Inventory, take_stock
from nexus.archive.names import Name, ReignName, RunName, SnapshotName, parse
from nexus.archive.planning import plan_restore
from nexus.archive.retention import GRACE_S, Window, needless
from nexus.errors import ArchiveIncompleteError
from nexus.model.position import Epoch, HistoryId, Offset

SECOND_US = 1_000_000
STEP_S = 1_000
"""Between two entries of these histories."""
HISTORY = history(reign(1, "aa"), reign(2, "bb", 11), reign(4, "cc", 21))
EPOCHS = {"aa": 1, "bb": 2, "cc": 4, "xx": 3}
NOW_S = 40 * STEP_S
LONGEST_S = NOW_S
"""Between two snapshots of these histories."""


def named(history_id: str) -> ReignName:
    return ReignName("c1", Epoch(EPOCHS[history_id]), HistoryId(history_id))


def run(history_id: str, first: int, last: int) -> RunName:
    time_us = first * STEP_S * SECOND_US
    return RunName(named(history_id), Offset(first), Offset(last), time_us)


def snapshot(history_id: str, offset: int) -> SnapshotName:
    return SnapshotName(named(history_id), Offset(offset), offset * STEP_S * SECOND_US)


def of(*names: Name) -> Inventory:
    texts = [n.history if isinstance(n, ReignName) else str(n) for n in names]
    return take_stock((text, 1) for text in texts)["c1"]


def gone(inventory: Inventory, *, age_s: int, count: int = 1) -> set[Name | None]:
    window = Window(age_s, count, LONGEST_S)
    found = needless(inventory, HISTORY, window, NOW_S * SECOND_US)
    return {parse(text) for text in found}


OLD, MIDDLE, NEW = snapshot("aa", 2), snapshot("bb", 15), snapshot("cc", 30)
EARLY, CROSSING, LATE = run("aa", 3, 10), run("bb", 11, 16), run("bb", 17, 20)
WHOLE = of(OLD, MIDDLE, NEW, EARLY, CROSSING, LATE, named("aa"), named("cc"))


def test_what_only_older_moments_need_goes() -> None:
    assert gone(WHOLE, age_s=20 * STEP_S) == {OLD, EARLY, named("aa")}
    assert gone(WHOLE, age_s=5 * STEP_S) == {
        OLD, EARLY, MIDDLE, CROSSING, LATE, named("aa")
    }  # fmt: skip


def test_the_snapshot_that_the_windows_first_moment_needs_stays() -> None:
    assert gone(WHOLE, age_s=39 * STEP_S) == set()
    assert gone(WHOLE, age_s=26 * STEP_S) == set()
    assert gone(WHOLE, age_s=25 * STEP_S) == {OLD, EARLY, named("aa")}


def test_so_many_snapshots_stay_however_old_they_are() -> None:
    assert gone(WHOLE, age_s=1, count=2) == {OLD, EARLY, named("aa")}
    assert gone(WHOLE, age_s=1, count=3) == set()
    assert gone(WHOLE, age_s=1, count=9) == set()


def test_nothing_goes_for_the_sake_of_a_snapshot_that_is_just_made() -> None:
    now_us = 30 * STEP_S * SECOND_US + (GRACE_S - 1) * SECOND_US

    found = needless(WHOLE, HISTORY, Window(1, 1, LONGEST_S), now_us)

    assert str(MIDDLE) not in found


def test_a_deposed_master_deletes_nothing() -> None:
    forced = ReignName("c1", Epoch(1004), HistoryId("ff"))
    twin = ReignName("c1", Epoch(4), HistoryId("dd"))

    for other in (forced, twin):
        inventory = of(OLD, MIDDLE, NEW, EARLY, other)
        assert gone(inventory, age_s=1) == set()


def test_a_fork_goes_once_it_is_older_than_all_that_stays() -> None:
    early, late = run("xx", 12, 14), run("xx", 16, 19)
    beyond = snapshot("aa", 14)
    inventory = of(MIDDLE, NEW, early, late, beyond, CROSSING)

    assert gone(inventory, age_s=20 * STEP_S) == {early, beyond}
    assert gone(inventory, age_s=5 * STEP_S) == {
        early, late, beyond, MIDDLE, CROSSING
    }  # fmt: skip


DAY_S = 86_400
DAILY = Window(age_s=7 * DAY_S, count=2, step_s=2 * DAY_S)


def daily(days: int, *, ahead_s: int = 0) -> list[SnapshotName]:
    """A snapshot each day; a clock was wrong when the last of them was made."""
    times = [day * DAY_S for day in range(1, days + 1)]
    times[-1] += ahead_s
    return [
        SnapshotName(named("cc"), Offset(30 + day), time_s * SECOND_US)
        for day, time_s in enumerate(times)
    ]


def test_a_clock_that_is_years_ahead_makes_nothing_old() -> None:
    ahead_s = 1_000 * DAY_S
    snapshots = daily(30, ahead_s=ahead_s)

    now_us = snapshots[-1].time_us
    kept = set(snapshots) - {
        parse(text) for text in needless(of(*snapshots), HISTORY, DAILY, now_us)
    }

    # The wrong step counts as two days at most.
    assert len(kept) == 7
    assert kept == set(snapshots[-7:])


def test_a_clock_that_was_ahead_and_is_right_again_makes_nothing_old() -> None:
    snapshots = daily(30, ahead_s=1_000 * DAY_S)

    found = needless(of(*snapshots), HISTORY, DAILY, 30 * DAY_S * SECOND_US)

    assert set(map(str, snapshots[-7:])).isdisjoint(found)


def test_with_right_clocks_the_window_is_as_long_as_it_is_set() -> None:
    snapshots = daily(30)

    found = needless(of(*snapshots), HISTORY, DAILY, snapshots[-1].time_us)

    assert set(found) == set(map(str, snapshots[:-8]))


def test_without_snapshots_or_history_nothing_goes() -> None:
    assert gone(of(EARLY), age_s=1) == set()
    assert needless(WHOLE, history(), Window(1, 1, LONGEST_S), NOW_S * SECOND_US) == []


RUNS = st.builds(
    lambda of, first, length: run(of, first, first + length),
    st.sampled_from(sorted(EPOCHS)),
    st.integers(1, 30),
    st.integers(0, 12),
)
SNAPSHOTS = st.builds(snapshot, st.sampled_from(sorted(EPOCHS)), st.integers(1, 30))


def restorable(inventory: Inventory) -> set[int]:
    """Every entry that can be restored, tried one by one."""
    found = set()
    for offset in range(1, 45):
        try:
            plan_restore(inventory, HISTORY, Offset(offset))
        except ArchiveIncompleteError:
            continue
        found.add(offset)
    return found


@given(
    st.lists(RUNS, min_size=1, max_size=12),
    st.lists(SNAPSHOTS, max_size=5),
    st.integers(1, 40),
    st.integers(1, 3),
)
def test_every_moment_of_the_window_can_be_restored_as_before(
    runs: list[RunName], snapshots: list[SnapshotName], age: int, count: int
) -> None:
    inventory = of(*runs, *snapshots)
    dropped = gone(inventory, age_s=age * STEP_S, count=count)
    kept = inventory.without(
        *(name for name in dropped if isinstance(name, RunName | SnapshotName))
    )

    before, after = restorable(inventory), restorable(kept)
    begins = NOW_S // STEP_S - age
    assert {one for one in before if one >= begins} <= after
    own = inventory.snapshots_of(HISTORY)
    assert set(own[-count:]) <= set(kept.snapshots_of(HISTORY))
