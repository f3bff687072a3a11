"""When etcd's keys are read, and which answers count."""

from nexus.replication.etcd.keyreads import KeyReads

POLL_MS = 200


def test_the_first_read_is_due_at_once_and_the_next_after_a_while() -> None:
    reads = KeyReads(POLL_MS)

    assert reads.is_due(5)
    assert reads.ended()
    assert not reads.is_due(5 + POLL_MS - 1)
    assert reads.is_due(5 + POLL_MS)


def test_one_is_under_way_at_a_time_however_long_it_takes() -> None:
    reads = KeyReads(POLL_MS)
    reads.is_due(0)

    assert not reads.is_due(10 * POLL_MS)
    reads.hurry()
    assert not reads.is_due(10 * POLL_MS)


def test_whoever_is_in_a_hurry_does_not_wait_for_the_next() -> None:
    reads = KeyReads(POLL_MS)
    reads.is_due(0)
    reads.ended()

    reads.hurry()

    assert reads.is_due(1)


def test_an_answer_that_was_outdated_on_its_way_does_not_count() -> None:
    reads = KeyReads(POLL_MS)
    reads.outdate()
    reads.is_due(0)
    assert reads.ended(), "nothing was under way then"

    reads.is_due(POLL_MS)
    reads.outdate()

    assert not reads.ended()
    reads.is_due(2 * POLL_MS)
    assert reads.ended()
