"""Many small runs become few: in order, without a hole, and within a size."""

from hypothesis import given
from hypothesis import strategies as st

from nexus.archive.merging import FAN_IN, Group, Merging
from nexus.archive.names import ReignName, RunName
from nexus.model.position import Epoch, HistoryId, Offset

REIGN = ReignName("c1", Epoch(1), HistoryId("aa"))


def run(first: int, last: int, reign: ReignName = REIGN) -> RunName:
    return RunName(reign, Offset(first), Offset(last), 0)


def groups_of(merging: Merging, count: int, size: int) -> list[Group]:
    found = (merging.add(run(n, n), size) for n in range(1, count + 1))
    return [group for group in found if group is not None]


def test_so_many_neighbours_become_one() -> None:
    (group, second) = groups_of(Merging(most_bytes=1 << 20), 2 * FAN_IN, 10)

    assert group == Group(tuple(run(n, n) for n in range(1, FAN_IN + 1)), 1)
    assert second.runs[0] == run(FAN_IN + 1, FAN_IN + 1)


def test_runs_that_are_large_enough_stay() -> None:
    assert groups_of(Merging(most_bytes=FAN_IN * 10 - 1), 3 * FAN_IN, 10) == []


def test_a_hole_or_another_reign_begins_anew() -> None:
    other = ReignName("c1", Epoch(2), HistoryId("bb"))
    for strange in (run(500, 500), run(FAN_IN, FAN_IN, other)):
        merging = Merging(most_bytes=1 << 20)
        groups_of(merging, FAN_IN - 1, 10)

        assert merging.add(strange, 10) is None


@given(st.lists(st.integers(1, 50), min_size=1, max_size=400))
def test_what_is_merged_is_one_stretch_within_the_size(sizes: list[int]) -> None:
    merging = Merging(most_bytes=2_000)
    largest = {run(n, n): size for n, size in enumerate(sizes, 1)}
    for name, size in list(largest.items()):
        group = merging.add(name, size)
        while group is not None:
            firsts = [one.first for one in group.runs[1:]]
            assert firsts == [one.last + 1 for one in group.runs[:-1]]
            total = sum(largest[one] for one in group.runs)
            assert total <= 2_000
            merged = run(group.runs[0].first, group.runs[-1].last)
            largest[merged] = total
            group = merging.add(merged, total, group.level)
