"""Strong reads wait for a round that began after them."""

from nexus.model.position import Offset
from nexus.replication.members.effects import ReadReady
from nexus.replication.members.reads import StrongReads


def test_a_read_is_proven_by_pings_that_were_sent_after_it() -> None:
    reads = StrongReads(300)
    reads.ask("r", 5, 0)

    assert reads.wants_round(5)
    assert reads.ready(5, Offset(7)) == ()
    assert reads.ready(6, Offset(7)) == (ReadReady("r", Offset(7)),)
    assert reads.ready(6, Offset(7)) == ()


def test_a_read_that_comes_during_a_round_waits_for_the_next_one() -> None:
    reads = StrongReads(300)
    reads.ask("first", 5, 0)
    reads.begin_round(6)
    reads.ask("second", 8, 0)

    assert not reads.wants_round(5)
    assert reads.ready(6, Offset(1)) == (ReadReady("first", Offset(1)),)
    assert reads.wants_round(6)


def test_a_read_that_nobody_confirms_is_refused_in_time() -> None:
    reads = StrongReads(300)
    reads.ask("r", 5, 1_000)

    assert reads.late(1_300) == ()
    assert [one.read_id for one in reads.late(1_301)] == ["r"]


def test_the_end_of_a_reign_refuses_all() -> None:
    reads = StrongReads(300)
    reads.ask("r", 5, 0)

    refused = reads.ended("another reigns")

    assert [(one.read_id, one.reason) for one in refused] == [("r", "another reigns")]
