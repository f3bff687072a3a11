from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.replication.quorum import (
    committed_offset,
    durable_on,
    in_turn,
    majority,
)


def acks(*offsets: int) -> dict[str, Offset]:
    return {f"node-{index}": Offset(offset) for index, offset in enumerate(offsets)}


def test_everybody_is_handed_over_to_in_turn() -> None:
    nodes = {NodeId(one) for one in "abcd"}
    own, seen = NodeId("b"), []

    for _ in nodes:
        own = in_turn(nodes - {own}, own)[0]
        seen.append(own)

    assert seen == ["c", "d", "a", "b"]
    assert in_turn(set(), own) == []


def test_an_entry_commits_once_two_of_three_nodes_hold_it() -> None:
    assert committed_offset(acks(7, 7, 3), quorum=2) == 7
    assert committed_offset(acks(7, 3, 3), quorum=2) == 3


@pytest.mark.parametrize(
    ("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)]
)
def test_two_majorities_always_share_a_node(voters: int, needed: int) -> None:
    assert majority(voters) == needed
    assert 2 * needed > voters


def test_as_many_nodes_as_the_quorum_must_hold_an_entry() -> None:
    held = acks(9, 8, 7, 1, 1)

    assert committed_offset(held, quorum=2) == 8
    assert committed_offset(held, quorum=3) == 7
    assert committed_offset(held, quorum=5) == 1


def test_too_few_nodes_commit_nothing_at_all() -> None:
    assert committed_offset(acks(5), quorum=2) == 0


def test_nobody_is_no_majority_and_no_quorum() -> None:
    with pytest.raises(AssertionError):
        majority(0)
    with pytest.raises(AssertionError):
        committed_offset(acks(1), quorum=0)


def test_durable_on_counts_the_nodes_that_hold_an_entry() -> None:
    assert durable_on(acks(5, 7, 6).values(), Offset(6)) == 2


def slow_committed(held: dict[str, Offset], quorum: int) -> int:
    def candidates() -> Iterator[int]:
        for offset in range(max(held.values(), default=0) + 1):
            if sum(one >= offset for one in held.values()) >= quorum:
                yield offset

    return max(candidates(), default=0)


@given(
    st.dictionaries(st.text(), st.integers(0, 20).map(Offset), max_size=6),
    st.integers(1, 7),
)
def test_the_fast_count_agrees_with_the_obvious_one(
    held: dict[str, Offset], quorum: int
) -> None:
    assert committed_offset(held, quorum=quorum) == slow_committed(held, quorum)
