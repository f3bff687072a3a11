"""What acknowledgements prove: for a quorum, for all, of an earlier reign."""

from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.replication.streaming.tally import Held, Tally

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
LEARNER = NodeId("learner")
FIRST = Offset(5)
"""Of the reign."""


def tally(
    quorum: int = 0, *, voters: tuple[NodeId, ...] = (A, B, C), **offsets: int
) -> tuple[Tally, Held]:
    """What these nodes hold may be changed afterwards."""
    held = {node: Offset(offset) for node, offset in offsets.items()}
    found = Tally(quorum, FIRST, lambda: held)
    found.elected(frozenset(voters))
    return found, held


def test_an_entry_is_committed_once_a_majority_of_the_voters_holds_it() -> None:
    found, held = tally(a=9, b=7, c=0, learner=9)

    assert found.quorum == 2
    assert found.committed(Offset(9)) == 7
    held[C] = Offset(8)
    assert found.committed(Offset(9)) == 8


def test_nothing_is_committed_here_before_it_is_durable_here() -> None:
    found, _ = tally(a=6, b=9, c=9)

    assert found.committed(Offset(6)) == 6


def test_who_is_required_holds_a_commit_back_whatever_the_quorum_says() -> None:
    found, held = tally(1, voters=(), a=9, b=6)
    assert found.committed(Offset(9)) == 9

    found.required = frozenset({B, C})
    held[C] = Offset(5)

    assert found.committed(Offset(9)) == 5
    del held[C]
    assert found.committed(Offset(9)) == 0


def test_entries_before_the_reign_commit_with_one_of_it_alone() -> None:
    found, held = tally(a=9, b=4, c=4)

    assert found.committed(Offset(9)) == 0
    assert found.held_by_majority == 0
    assert not found.is_settled
    held[B] = FIRST
    assert found.committed(Offset(9)) == FIRST
    assert found.held_by_majority == FIRST
    assert found.is_settled


def test_a_learner_counts_only_where_nobody_votes() -> None:
    found, _ = tally(2, a=9, learner=9)
    assert not found.counts(LEARNER)
    assert found.committed(Offset(9)) == 0

    found.elected(frozenset())

    assert found.counts(LEARNER)
    assert found.committed(Offset(9)) == 9


def test_who_was_removed_counts_for_retention_until_a_majority_holds_that() -> None:
    found, held = tally(a=9, b=9, c=6)
    assert found.held_by_all == 6

    found.configured(frozenset({A, B}), 0, Offset(10))

    assert found.held_by_all == 6
    held[A] = held[B] = Offset(10)
    assert found.held_by_all == 10


def test_a_voter_of_whom_nothing_is_known_keeps_everything_back() -> None:
    found, held = tally(a=9, b=9)

    assert found.held_by_all == 0
    held[C] = Offset(7)
    assert found.held_by_all == 7


def test_where_nobody_votes_nobody_keeps_anything() -> None:
    found = Tally(2, FIRST, lambda: {A: Offset(9)})

    assert found.held_by_all == 0
    assert found.is_settled
