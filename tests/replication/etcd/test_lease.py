"""Until when the leader's lease surely lasts."""

from nexus.replication.etcd.lease import KeyLease


def lease() -> KeyLease:
    made = KeyLease(ttl_s=4, drift_percent=10)
    made.granted(7, ttl_ms=4_000, sent_ms=1_000)
    return made


def test_a_lease_counts_from_the_sending_less_what_clocks_may_differ() -> None:
    assert lease().until_ms == 4_600
    assert not lease().is_over(4_599)
    assert lease().is_over(4_600)


def test_without_a_lease_none_is_over() -> None:
    given_up = lease()

    assert given_up.given_up() == 7
    assert given_up.given_up() == 0
    assert not given_up.is_over(10_000)


def test_an_older_answer_does_not_shorten_it() -> None:
    renewed = lease()
    renewed.lasts(ttl_ms=4_000, sent_ms=2_000)
    renewed.lasts(ttl_ms=4_000, sent_ms=1_500)

    assert renewed.until_ms == 5_600


def test_it_is_renewed_four_times_a_lease_one_request_at_a_time() -> None:
    renewed = lease()

    assert not renewed.is_due(1_999)
    assert renewed.is_due(2_000)
    assert not renewed.is_due(3_500)
    renewed.answered()
    assert renewed.is_due(3_500)


def test_a_renewal_without_an_answer_is_tried_again_at_once() -> None:
    renewed = lease()
    assert renewed.is_due(2_000)

    renewed.unanswered()

    assert renewed.is_due(2_001)
