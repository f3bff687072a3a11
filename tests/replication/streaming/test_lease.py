"""Since when a quorum follows."""

from nexus.model.cluster import NodeId
from nexus.replication.streaming.lease import OPEN_MOST, Lease

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
VOTERS = frozenset((A, B, C))


def test_the_lease_counts_from_the_sending_of_the_ping_that_was_answered() -> None:
    lease = Lease(A)
    stamp = lease.pinged(B, 1_000)

    before = lease.heard_ms(VOTERS, 1_900)
    lease.answered(B, stamp)

    assert before is None
    assert lease.heard_ms(VOTERS, 1_900) == 1_000


def test_a_stamp_is_never_used_twice() -> None:
    lease = Lease(A)

    stamps = [lease.pinged(B, 5), lease.pinged(C, 5), lease.pinged(B, 4)]

    assert stamps == [5, 6, 7]
    assert lease.next_round() == 8


def test_an_answer_to_no_ping_proves_nothing() -> None:
    lease = Lease(A)
    stamp = lease.pinged(B, 1_000)

    lease.answered(B, stamp + 1)
    lease.answered(C, stamp)

    assert lease.confirmed(VOTERS) == 0


def test_an_old_answer_does_not_follow_a_new_one() -> None:
    lease = Lease(A)
    old, new = lease.pinged(B, 1_000), lease.pinged(B, 2_000)

    lease.answered(B, new)
    lease.answered(B, old)

    assert lease.confirmed(VOTERS) == new
    assert lease.heard_ms(VOTERS, 3_000) == 2_000


def test_who_is_no_voter_proves_nothing() -> None:
    lease = Lease(A)
    lease.answered(B, lease.pinged(B, 1_000))

    assert lease.heard_ms(frozenset((A, C)), 1_000) is None
    assert lease.heard_ms(frozenset((A,)), 1_000) == 1_000


def test_pings_that_nobody_answers_are_bounded() -> None:
    lease = Lease(A)
    first = lease.pinged(B, 1)
    for now_ms in range(OPEN_MOST):
        lease.pinged(B, now_ms)

    lease.answered(B, first)

    assert lease.confirmed(VOTERS) == 0
