"""When votes decide a campaign."""

import pytest

from nexus.model.cluster import NodeId
from nexus.replication.elections.ballot import Ballot, Verdict

A, B, C, D, E = map(NodeId, "abcde")


def test_who_votes_alone_has_won_at_once() -> None:
    assert Ballot(A).verdict((A,)) is Verdict.WON


@pytest.mark.parametrize("voters", [(A, B, C), (A, B, C, D, E)])
def test_half_of_the_voters_decide_nothing(voters: tuple[NodeId, ...]) -> None:
    ballot = Ballot(A)
    others = voters[1:]

    for voter in others[: len(others) // 2 - 1]:
        ballot.granted(voter)
    assert ballot.verdict(voters) is Verdict.OPEN
    ballot.granted(others[-1])
    assert ballot.verdict(voters) is Verdict.WON


def test_it_is_lost_once_no_majority_is_left() -> None:
    ballot = Ballot(A)

    ballot.refused(B, lends=False)
    assert ballot.verdict((A, B, C)) is Verdict.OPEN
    ballot.refused(C, lends=False)
    assert ballot.verdict((A, B, C)) is Verdict.LOST


def test_who_is_no_voter_counts_on_neither_side() -> None:
    ballot = Ballot(A)

    ballot.granted(D)
    ballot.refused(E, lends=False)

    assert ballot.verdict((A, B, C)) is Verdict.OPEN


def test_who_says_it_twice_is_counted_once() -> None:
    ballot = Ballot(A)

    ballot.granted(B)
    ballot.granted(B)

    assert ballot.verdict((A, B, C, D, E)) is Verdict.OPEN


def test_the_last_witness_that_lends_is_the_one_to_borrow_from() -> None:
    ballot = Ballot(A)
    before = ballot.lender

    ballot.refused(B, lends=True)
    ballot.refused(C, lends=False)
    first = ballot.lender
    ballot.refused(D, lends=True)

    assert (before, first, ballot.lender) == (None, B, D)
