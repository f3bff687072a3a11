"""One voting node, alone with what it is told."""

from nexus.model.position import Offset
from nexus.replication.election_effects import BecomeMaster, PersistVote, TakeWrites
from nexus.replication.member_effects import Announce, ReadReady, ReadRefused
from replication.alone import member, only, reigns


def test_a_single_voter_elects_itself_and_takes_writes_after_its_first_entry() -> None:
    one = member("a")
    elected = one.tick(1_000)

    began = reigns(one, elected, 1_000)

    kinds = [type(effect) for effect in elected]
    assert kinds.index(PersistVote) < kinds.index(BecomeMaster)
    assert only(began, Announce) == [Announce(())]
    assert isinstance(began[-1], TakeWrites)
    assert one.may_acknowledge(1_000_000)


def test_nothing_is_acknowledged_before_the_first_entry_is_applied() -> None:
    one = member("a")

    one.tick(1_000)

    assert not one.may_acknowledge(1_000)


def test_a_strong_read_of_a_single_voter_needs_nobody() -> None:
    one = member("a")
    before = one.read("early", 900)
    reigns(one, one.tick(1_000), 1_000)

    answers = one.read("r", 1_100)

    assert only(before, ReadRefused)[0].read_id == "early"
    assert answers == (ReadReady("r", Offset(1)),)
