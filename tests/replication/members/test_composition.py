"""What one machine's effects mean for the others."""

from msgspec.structs import replace

from nexus.model.cluster import NodeId
from nexus.model.entry import Payload, encode_payload
from nexus.model.operation import Configuration
from nexus.model.position import Epoch, Offset
from nexus.protocol.messages import TakeOver, VoteReply
from nexus.replication.effects import Connect, Report, Send, StepDown
from nexus.replication.elections.effects import PersistVote, VoteRecord
from nexus.replication.members.effects import RecoveredMember
from nexus.replication.members.member import Member
from nexus.replication.settings import RecoveredState
from replication.alone import elected, follows, member, only, reigns
from replication.examples import TWO_REIGNS, entry, welcome


def test_a_higher_epoch_ends_the_reign_before_anything_else() -> None:
    one = member("a")
    reigns(one, one.tick(1_000), 1_000)

    effects = one.vote(NodeId("b"), VoteReply(one.epoch, granted=False), 1_100)
    refusal = VoteReply(Epoch(9), granted=False)
    deposed = one.vote(NodeId("b"), refusal, 1_200)

    assert effects == ()
    assert [type(effect) for effect in deposed] == [StepDown, PersistVote]
    assert one.master is None
    assert not one.may_acknowledge(1_200)
    assert one.vote(NodeId("b"), TakeOver(one.epoch), 1_300) == ()


def test_an_epoch_that_only_the_log_knows_of_was_met_too() -> None:
    one = member("a", "b")
    recovered = RecoveredMember(
        log=RecoveredState(history=TWO_REIGNS, durable_offset=Offset(20)),
        record=VoteRecord(Epoch(1), NodeId("b")),
    )

    again = Member(one._identity, one._settings, recovered, lambda: 0.0, 0)

    assert again.epoch == 2
    assert again.elector.record.voted_for == ""


def test_a_log_that_lacks_what_was_acknowledged_votes_once_it_has_caught_up() -> None:
    one = member("b", "a")
    known = one.configurations
    recovered = RecoveredMember(configurations=known, sound=False)
    again = Member(one._identity, one._settings, recovered, lambda: 0.0, 0)
    again.start()
    unsound = again.tick(1_000)

    again.connected_to_master(1_100)
    again.from_master(welcome(0, current=1), 1_110)
    behind = again._view().sound
    again.entries_from_master((entry(1),), 1_120)
    again.stored(Offset(1), 1_130)

    assert unsound == ()
    assert not behind
    assert again._view().sound


def test_hard_case_11_a_witness_is_told_that_the_voters_are_to_change() -> None:
    one = elected("a", "b", "w")
    follows(one, "w")

    wanted = only(one.changes(changes=True, now_ms=1_100), Send)
    ended = only(one.changes(changes=False, now_ms=1_200), Send)

    assert [ping.message.overrun for ping in wanted] == [True]  # type: ignore[union-attr]  # a Ping
    assert [ping.message.overrun for ping in ended] == [False]  # type: ignore[union-attr]  # a Ping
    assert member("a", "b").changes(changes=True, now_ms=0) == ()


def test_hard_case_11_only_a_replica_has_a_log_with_a_cap() -> None:
    witness = member("w", "a", "b", stands=False, hold=80)
    reign = elected("a", "b")

    (told,) = witness.sized(80, 100)

    assert isinstance(told, Report)
    assert told.event == "witness_full"
    assert reign.sized(80, 100) == ()


def test_a_master_tells_nobody_of_a_full_disk_that_a_replica_of_its_past_met() -> None:
    assert elected("a", "b").lacks_space(100) == ()


def test_a_replica_without_a_master_keeps_its_full_disk_to_itself() -> None:
    assert member("a", "b").lacks_space(100) == ()


def test_voters_that_are_named_where_there_is_no_room_are_in_force_no_more() -> None:
    one = member("a", "b")
    (start,) = one.start()
    assert isinstance(start, Connect)
    one.connected_to_master(10)
    one.from_master(welcome(0, current=1), 20)
    named = Configuration("cluster", (("a", "a"), ("b", "b"), ("c", "c")))
    payload = encode_payload(Payload(1, "", b"", (named,)))
    one.entries_from_master((replace(entry(1), entry=payload),), 30)
    voters = one.voters

    one.lost_master("gone", 40)

    assert "c" in voters
    assert one.drops_unstored()
    assert one.voters == ("a", "b")
    assert not elected("a", "b").drops_unstored()
