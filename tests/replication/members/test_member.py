"""One voting node, alone with what it is told."""

import pytest
from msgspec.structs import replace

from nexus.errors import WrongRoleError
from nexus.model.cluster import NodeId
from nexus.model.operation import Configuration
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Reign
from nexus.protocol.messages import ErrorCode, Hello, Ping, VoteReply
from nexus.replication.effects import Close, Connect, Report, StepDown
from nexus.replication.elections.effects import (
    BecomeMaster,
    Fetch,
    PersistVote,
    SendVote,
    TakeWrites,
    Why,
)
from nexus.replication.elections.moves import ElectionState
from nexus.replication.members.effects import (
    Announce,
    MemberEffects,
    ReadReady,
    ReadRefused,
)
from nexus.replication.members.member import Member
from nexus.replication.settings import LogExtent, RecoveredState
from replication.alone import member, only, reigns
from replication.examples import PEER, entry, hello, welcome


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


def candidate() -> Member:
    """`a` of three, which has asked for votes beforehand."""
    one = member("a", "b", "w")
    one.tick(1_000)
    assert one.state is ElectionState.PRE_CANDIDATE
    return one


def deposed() -> Member:
    """A master that has just stepped down: it is neither master nor replica."""
    one = member("a")
    reigns(one, one.tick(1_000), 1_000)
    one.vote(NodeId("b"), VoteReply(Epoch(9), granted=False), 1_100)
    assert one.master is None
    assert one.replica is None
    return one


def test_only_a_master_hands_over() -> None:
    one = member("a", "b")

    with pytest.raises(WrongRoleError, match="no master"):
        one.switchover(NodeId("b"), 0)

    assert one.writes_held(Offset(3), 0) == ()
    assert one.objection(Configuration("cluster", ())) == "this node is no master"


def test_a_single_master_has_nobody_to_hand_over_to() -> None:
    one = member("a")
    reigns(one, one.tick(1_000), 1_000)

    with pytest.raises(WrongRoleError, match="no other voter; the voters are none"):
        one.switchover(NodeId("b"), 1_100)


def test_a_hello_out_of_this_world_changes_nothing() -> None:
    one = member("a", "b")

    effects = one.hello(PEER, hello(epoch=Epoch(1 << 40)), 0)

    assert [effect.code for effect in only(effects, Close)] == [ErrorCode.MALFORMED]
    assert one.epoch == 0


def test_the_epoch_of_a_stranger_is_not_taken_over() -> None:
    one = member("a", "b")

    one.hello(PEER, hello(epoch=Epoch(4), cluster_id="another"), 0)
    foreign = one.epoch
    one.hello(PEER, hello(epoch=Epoch(4)), 0)

    assert foreign == 0
    assert one.epoch == 4


def stood_alone(name: str) -> Hello:
    """From a node that reigned in epoch 9, and is to follow."""
    own = EpochHistory((Reign(Epoch(9), HistoryId("h9"), name, Offset(1), 0, "start"),))
    return hello(1, own, node_id=NodeId(name), address=f"{name}:1")


def test_a_learner_that_stood_alone_deposes_nobody_for_long() -> None:
    one = member("a")
    reigns(one, one.tick(1_000), 1_000)

    met = one.hello(PEER, stood_alone("d"), 1_100)
    too_early = one.tick(1_101)
    one.follow(RecoveredState(history=one.history, durable_offset=Offset(1)))
    again = one.tick(1_102)

    assert only(met, StepDown)
    assert only(too_early, PersistVote) == []
    assert only(again, BecomeMaster) == [BecomeMaster(Epoch(10), Why.RENEWAL)]


def test_a_replica_takes_no_epoch_from_a_learner_that_stood_alone() -> None:
    one = member("a", "b", "c")

    one.hello(PEER, stood_alone("d"), 100)
    before = one.epoch
    one.hello(PEER, stood_alone("b"), 100)

    assert (before, one.epoch) == (0, 9), "of a voter it may be an elected one"


def test_peers_that_were_never_welcomed_are_not_listened_to() -> None:
    one = member("a", "b")
    nothing: MemberEffects = ()

    assert one.receive(PEER, Ping(1), 0) == nothing
    assert one.disconnected(PEER, 0) == nothing
    assert one.streamed(PEER, Offset(1), 0, 0) == nothing
    assert one.log_gap(PEER, Offset(1), 0) == nothing


def test_a_stream_behind_the_logs_begin_ends_the_connection() -> None:
    one = member("a")
    reigns(one, one.tick(1_000), 1_000)
    one.hello(PEER, hello(0, EpochHistory()), 1_100)

    effects = one.log_gap(PEER, Offset(2), 1_100)

    assert [effect.code for effect in only(effects, Close)] == [ErrorCode.BUSY]


def test_between_reign_and_replica_late_news_of_either_is_nothing() -> None:
    one = deposed()
    nothing: MemberEffects = ()

    assert one.connected_to_master(1_200) == nothing
    assert one.lost_master("gone", 1_200) == nothing
    assert one.from_master(Ping(1), 1_200) == nothing
    assert one.entries_from_master((entry(1),), 1_200) == nothing
    assert one.stored(Offset(2), 1_200) == nothing
    assert one.written(Offset(2), 1_200) == nothing
    assert one.applied(Offset(2), 1_200) == nothing
    assert one.apply_failed("late", 1_200) == nothing
    assert one.retention_floor() == 1
    (close,) = one.hello(PEER, hello(), 1_200)
    assert isinstance(close, Close)
    assert close.code is ErrorCode.NOT_MASTER


def test_it_follows_again_from_what_its_log_says() -> None:
    one = deposed()

    effects = one.follow(RecoveredState(durable_offset=Offset(0)))

    assert [type(effect) for effect in effects] == [Connect]
    assert one.replica is not None
    assert one.replica.epoch == 9


def test_a_master_whose_database_refuses_an_entry_steps_down() -> None:
    one = member("a")
    reigns(one, one.tick(1_000), 1_000)

    effects = one.apply_failed("no such table", 1_100)

    assert isinstance(effects[0], StepDown)


def test_a_replica_whose_database_refuses_an_entry_says_so_and_does_not_stand() -> None:
    one = member("a", "b")

    effects = one.apply_failed("no such table", 100)

    assert [effect.event for effect in only(effects, Report)] == ["apply_failed"]
    assert only(one.tick(1_000), SendVote) == []


def test_a_configuration_is_in_force_on_any_node_from_its_append() -> None:
    one = member("a", "b")
    rests = Configuration("cluster", (("a", "a"),), auto_failover=False)

    effects = one.configured(Offset(3), rests, 0)

    assert effects == ()
    assert one.voters == ("a",)
    assert [known.offset for known in one.configurations] == [0, 3]
    assert not one.elector.auto_failover


def test_an_election_that_a_witness_would_decide_fetches_from_it() -> None:
    one = candidate()
    lends = VoteReply(Epoch(0), granted=False, pre_vote=True, lends=True)

    one.vote(NodeId("w"), lends, 1_010)
    effects = one.vote(NodeId("b"), replace(lends, lends=False), 1_020)

    assert one.state is ElectionState.FETCHING
    assert only(effects, Connect) == [Connect("w", 0)]
    assert only(effects, Fetch) == []


def test_a_lender_that_is_lost_ends_the_loan_and_the_candidate_stands_again() -> None:
    one = candidate()
    lends = VoteReply(Epoch(0), granted=False, pre_vote=True, lends=True)
    one.vote(NodeId("w"), lends, 1_010)
    one.vote(NodeId("b"), lends, 1_020)

    effects = one.lost_master("nobody is there", 1_030)

    assert one.state is ElectionState.PRE_CANDIDATE
    assert {effect.to for effect in only(effects, SendVote)} == {"b", "w"}
    assert one.replica is not None
    assert not one.replica.borrows


def test_a_loan_that_takes_too_long_is_given_back() -> None:
    one = candidate()
    lends = VoteReply(Epoch(0), granted=False, pre_vote=True, lends=True)
    one.vote(NodeId("w"), lends, 1_010)
    one.vote(NodeId("b"), lends, 1_020)
    assert one.replica is not None
    assert one.replica.borrows

    for now_ms in range(1_100, 100_000, 100):
        one.tick(now_ms)
        if one.state is not ElectionState.FETCHING:
            break

    assert one.state is not ElectionState.FETCHING
    assert not one.replica.borrows


def test_a_witness_keeps_what_another_voter_may_lack() -> None:
    data = member("a", "w", "b")
    witness = member("w", "a", "b", stands=False)
    for one in (data, witness):
        one.connected_to_master(1_100)
        end = Offset(3)
        said = replace(welcome(0, current=end), commit_offset=end)
        one.from_master(said, 1_110)
        one.entries_from_master(tuple(map(entry, range(1, 4))), 1_120)
        one.stored(end, 1_130)

    assert data.retention_floor() == 4
    assert witness.retention_floor() == 1


def test_a_lender_that_is_no_voter_is_not_asked() -> None:
    one = candidate()
    no = VoteReply(Epoch(0), granted=False, pre_vote=True)

    one.vote(NodeId("x"), replace(no, lends=True), 1_010)
    one.vote(NodeId("b"), no, 1_020)
    effects = one.vote(NodeId("w"), no, 1_030)

    assert one.state is ElectionState.FETCHING
    assert only(effects, Connect) == []
    assert one.address_of(NodeId("x")) == ""


def test_a_reign_that_is_over_before_it_began_does_not_begin() -> None:
    one = member("a")
    (order,) = only(one.tick(1_000), BecomeMaster)
    over = one.vote(NodeId("b"), VoteReply(Epoch(9), granted=False), 1_010)
    reign = Reign(order.epoch, HistoryId("late"), "a", Offset(1), 0, order.why)

    effects = one.reign(reign, LogExtent(), 1_020)

    assert effects == ()
    assert one.master is None
    assert [type(effect) for effect in over] == [StepDown, PersistVote]
