"""What a reign by vote allows."""

import pytest
from msgspec.structs import replace

from nexus.errors import WrongRoleError
from nexus.model.cluster import Mode, NodeId
from nexus.model.operation import Configuration
from nexus.model.position import ORIGIN, Epoch, EpochHistory, Offset
from nexus.protocol.messages import Ping, Plan, Pong, VoteReply, WalAck, Welcome
from nexus.replication.effects import (
    CommitAdvanced,
    Peer,
    Send,
    StepDown,
    Stream,
)
from nexus.replication.elections.effects import HoldWrites, SendVote, TakeWrites
from nexus.replication.elections.moves import ElectionState
from nexus.replication.members.effects import MemberEffect, MemberEffects
from nexus.replication.members.elected import LEAST_HANG_MS
from nexus.replication.members.member import Member
from nexus.replication.settings import WITNESS
from nexus.replication.timing.delay import delay_features
from replication.alone import elected, follows, member, only, reigns
from replication.examples import hello


def won(one: Member) -> MemberEffects:
    """By b's vote too."""
    one.tick(1_000)
    yes = VoteReply(Epoch(1), granted=True, pre_vote=True)
    one.vote(NodeId("b"), yes, 1_010)
    return one.vote(NodeId("b"), replace(yes, pre_vote=False), 1_020)


def test_only_one_voter_changes_at_a_time_and_never_the_master() -> None:
    one = member("a", mode=Mode.ASYNC)
    reigns(one, one.tick(1_000), 1_000)

    def objection(*voters: str) -> str:
        named = tuple((voter, voter) for voter in voters)
        return one.objection(Configuration("cluster", named))

    assert objection("a", "b") == ""
    assert objection("a") == ""
    assert "one voter" in objection("a", "b", "c")
    assert "switch over" in objection("b")


def test_a_change_waits_for_the_one_before_it() -> None:
    one = member("a", mode=Mode.ASYNC)
    early = one.objection(Configuration("cluster", (("a", "a"),)))
    reigns(one, one.tick(1_000), 1_000)
    both = Configuration("cluster", (("a", "a"), ("b", "b")))

    one.configured(Offset(2), both, 1_100)

    assert early == "this node is no master"
    assert "not committed yet" in one.objection(both)


def test_before_its_first_entry_a_master_changes_nothing_and_hands_over_to_nobody() -> (
    None
):
    one = member("a", "b")
    reigns(one, won(one), 1_030)
    both = Configuration("cluster", (("a", "a"), ("b", "b")))

    with pytest.raises(WrongRoleError, match="not begun for clients"):
        one.switchover(NodeId("b"), 1_040)

    assert "first entry" in one.objection(both)
    assert one.tick(2_000)[0] == StepDown(
        Epoch(1), "", "no quorum of voters has answered for a dead-time"
    )


def test_the_mode_of_the_log_rules_whatever_this_node_is_configured_for() -> None:
    one = member("a", "b", mode=Mode.ASYNC, logged=Mode.SYNC)
    assert one.mode is Mode.SYNC

    begun = reigns(one, won(one), 1_030)

    # The first entry waits for the other voter: nobody may write before that.
    assert not only(begun, TakeWrites)


def test_a_strong_read_sees_what_was_told_before_the_mode_became_sync() -> None:
    one = member("a", "b", mode=Mode.ASYNC)
    assert only(reigns(one, won(one), 1_030), TakeWrites)
    one.stored(Offset(2), 1_040)  # acknowledged by this node alone
    both = Configuration("cluster", (("a", "a"), ("b", "b")), mode=Mode.SYNC)

    one.configured(Offset(3), both, 1_050)

    assert one.master is not None
    assert one.master.commit_offset == 0
    assert one.master._secured == 2


def test_a_sync_quorum_counts_from_the_entry_that_makes_the_mode_sync() -> None:
    one = member("a", "b", "c", mode=Mode.ASYNC, sync_quorum=3)
    reigns(one, won(one), 1_030)
    assert one.master is not None
    assert one.master.quorum == 0
    named = Configuration(
        "cluster", (("a", "a"), ("b", "b"), ("c", "c")), mode=Mode.SYNC
    )

    one.configured(Offset(2), named, 1_050)

    assert one.master.quorum == 3
    one.configured(Offset(3), replace(named, mode=Mode.ASYNC), 1_060)
    assert one.master.quorum == 0


def test_the_quorum_of_the_log_rules_whatever_this_node_is_configured_for() -> None:
    one = member("a", "b", "c", sync_quorum=1, logged_quorum=0)

    begun = reigns(one, won(one), 1_030)

    assert one.master is not None
    assert one.master.quorum == 0
    assert not only(begun, TakeWrites), "a majority is asked for"


def test_a_quorum_that_is_logged_counts_from_its_entry() -> None:
    one = elected("a", "b", "c")
    follows(one, "b")
    assert one.master is not None
    named = Configuration(
        "cluster", (("a", "a"), ("b", "b"), ("c", "c")), sync_quorum=3
    )

    objection = one.objection(named)
    too_many = one.objection(replace(named, sync_quorum=4))
    in_async = one.objection(replace(named, sync_quorum=4, mode=Mode.ASYNC))
    one.configured(Offset(2), named, 1_100)

    assert (objection, in_async) == ("", "")
    assert too_many == "a quorum of 4 asks for as many voters"
    assert one.sync_quorum == one.master.quorum == 3
    assert one.master.commit_offset == 1


def test_voters_change_by_what_a_majority_holds_whatever_the_quorum() -> None:
    one = elected("a", "b", "c", sync_quorum=1)
    two = Configuration("cluster", (("a", "a"), ("b", "b")))
    assert one.master is not None
    assert one.master.takes_writes

    alone = one.objection(two)
    follows(one, "b")

    assert "first entry" in alone
    assert one.objection(two) == ""


def test_a_change_waits_until_a_majority_holds_the_one_before_it() -> None:
    one = elected("a", "b", "c")
    follows(one, "b")
    two = Configuration("cluster", (("a", "a"), ("b", "b")))

    one.configured(Offset(2), two, 1_100)
    three = Configuration("cluster", (("a", "a"), ("b", "b"), ("c", "c")))

    assert "last change of the configuration" in one.objection(three)


def test_a_delayed_replica_is_no_heir() -> None:
    one = elected("a", "b", "c")
    follows(one, "c")
    late = hello(
        node_id=NodeId("b"),
        history=EpochHistory(),
        position=ORIGIN,
        features=delay_features(1_000),
    )
    one.hello(Peer("b"), late, 1_040)
    one.streamed(Peer("b"), Offset(2), 10, 1_050)
    one.receive(Peer("b"), WalAck(Offset(1), Offset(0)), 1_060)

    with pytest.raises(WrongRoleError, match="delayed replica, which never reigns"):
        one.switchover(NodeId("b"), 1_070)


def filled(one: Member, start_ms: int, stop_ms: int) -> MemberEffects:
    """What comes of it while the disk is full; whoever follows answers every Ping."""
    came: list[MemberEffect] = []
    for now_ms in range(start_ms, stop_ms, 50):
        ticked = one.tick(now_ms)
        for sent in only(ticked, Send):
            if isinstance(sent.message, Ping):
                pong = Pong(sent.message.timestamp, Offset(1))
                came += one.receive(sent.peer, pong, now_ms)
        came += (*ticked, *one.lacks_space(now_ms))
    kinds = (HoldWrites, TakeWrites, StepDown, SendVote)
    return tuple(effect for effect in came if isinstance(effect, kinds))


def test_a_master_whose_disk_stays_full_hands_over_to_a_voter_that_has_space() -> None:
    one = elected("a", "b", "c")
    follows(one, "b")
    follows(one, "c")
    one.receive(Peer("b#1"), WalAck(Offset(1), Offset(0), no_space=True), 1_080)

    assert filled(one, 1_100, 1_400) == ()
    assert one.master
    one.master._full_ms = 0  # it had space in between
    assert filled(one, 1_400, 1_700) == ()
    assert filled(one, 1_700, 1_750) == (HoldWrites(NodeId("c")),)
    assert filled(one, 1_750, 2_000) == (), "it hands over already"
    (back,) = only(filled(one, 2_000, 2_150), TakeWrites)
    assert back.reason == "c has not taken over in time"


def test_a_full_master_goes_on_where_no_voter_can_replace_it() -> None:
    one = elected("a", "b", "c")
    follows(one, "c")
    one.receive(Peer("c#1"), WalAck(Offset(1), Offset(0), no_space=True), 1_080)
    witness = hello(
        node_id=NodeId("b"),
        history=EpochHistory(),
        position=ORIGIN,
        features=(WITNESS,),
    )
    one.hello(Peer("b"), witness, 1_080)
    one.streamed(Peer("b"), Offset(2), 10, 1_080)
    one.receive(Peer("b"), WalAck(Offset(1), Offset(0)), 1_080)

    assert filled(one, 1_100, 2_400) == ()
    assert one.state is ElectionState.MASTER


def test_during_maintenance_a_full_master_goes_on() -> None:
    one = elected("a", "b", "c")
    follows(one, "b")
    one.elector.auto_failover = False

    assert filled(one, 1_100, 2_400) == ()
    assert one.state is ElectionState.MASTER


def test_a_reign_that_cannot_begin_for_want_of_space_is_handed_over() -> None:
    one = elected("a", "b", "c", sync_quorum=3)
    follows(one, "b")
    assert one.master
    assert not one.master.takes_writes

    held = HoldWrites(NodeId("b"))
    assert filled(one, 1_100, 1_450) == (held,)
    # It fails and is tried again; nothing is taken meanwhile: nothing was before.
    assert filled(one, 1_450, 1_800) == (held,)
    full_sync = hello(node_id=NodeId("c"), history=EpochHistory(), position=ORIGIN)
    one.hello(Peer("c"), full_sync, 1_810)
    one.streamed(Peer("c"), Offset(2), 10, 1_810)
    committed = one.receive(Peer("c"), WalAck(Offset(1), Offset(0)), 1_820)

    assert [effect.to for effect in only(committed, SendVote)] == ["b"]


def test_there_are_never_fewer_voters_than_the_quorum_asks_for() -> None:
    one = elected("a", "b", sync_quorum=2)
    follows(one, "b")

    assert "asks for as many" in one.objection(Configuration("cluster", (("a", "a"),)))


def pair(mode: Mode) -> Member:
    """`a` of two voters, which reigns; `b` holds its first entry and follows as `p`."""
    one = member("a", "b", mode=mode)
    reigns(one, won(one), 1_030)
    joins(one, "p", 0)
    one.streamed(Peer("p"), Offset(2), 0, 1_050)
    one.receive(Peer("p"), WalAck(Offset(1), Offset(0)), 1_060)
    return one


def joins(one: Member, peer: str, durable: int, node: str = "b") -> Welcome:
    """A node connects under this name, with so much of the log."""
    history = one.history if durable else one.history.truncated_after(Offset(0))
    said = replace(
        hello(durable, history), node_id=NodeId(node), cluster_id="cluster", epoch=1
    )
    effects = one.hello(Peer(peer), said, 1_040)
    (welcome,) = [
        effect.message
        for effect in only(effects, Send)
        if isinstance(effect.message, Welcome)
    ]
    return welcome


def test_in_sync_mode_entries_go_ahead_of_the_masters_own_sync() -> None:
    one = pair(Mode.SYNC)

    sent = one.written(Offset(2), 1_100)

    assert sent == (Stream(Peer("p"), Offset(2), Offset(3), Offset(1)),)
    one.streamed(Peer("p"), Offset(3), 9, 1_110)
    acked = one.receive(Peer("p"), WalAck(Offset(2), Offset(0)), 1_120)
    assert not only(acked, CommitAdvanced)
    stored = one.stored(Offset(2), 1_130)
    assert only(stored, CommitAdvanced) == [CommitAdvanced(Offset(2))]


def test_who_has_what_went_ahead_is_not_asked_to_take_it_back() -> None:
    one = pair(Mode.SYNC)
    one.written(Offset(2), 1_100)

    welcome = joins(one, "again", 2)

    assert (welcome.plan, welcome.from_offset) == (Plan.STREAM, Offset(2))
    assert welcome.current_offset == 2


def test_nothing_goes_ahead_in_async_mode_nor_after_the_reign() -> None:
    one, ended = pair(Mode.ASYNC), pair(Mode.SYNC)
    assert ended.master is not None
    ended.master.deposed_by(StepDown(Epoch(9), "", "over"), 1_090)

    assert one.written(Offset(2), 1_100) == ()
    assert ended.written(Offset(2), 1_100) == ()


def hanging(*holders: str) -> Member:
    """`a` of three voters; entry 2 is being synced there, and held by these others."""
    one = member("a", "b", "c", mode=Mode.SYNC)
    reigns(one, won(one), 1_030)
    for peer, node in (("p", "b"), ("q", "c")):
        joins(one, peer, 0, node)
        one.streamed(Peer(peer), Offset(2), 0, 1_050)
        one.receive(Peer(peer), WalAck(Offset(1), Offset(0)), 1_060)
    one.written(Offset(2), 1_100)
    for peer in holders:
        one.streamed(Peer(peer), Offset(3), 9, 1_110)
        one.receive(Peer(peer), WalAck(Offset(2), Offset(0)), 1_120)
    return one


def ended(one: Member, start_ms: int, stop_ms: int) -> list[str]:
    """Why the reign has ended by then; whoever follows answers every Ping."""
    found: list[str] = []
    for now_ms in range(start_ms, stop_ms, 50):
        ticked = one.tick(now_ms)
        found += [effect.reason for effect in only(ticked, StepDown)]
        for sent in only(ticked, Send):
            if isinstance(sent.message, Ping):
                one.receive(sent.peer, Pong(sent.message.timestamp, Offset(1)), now_ms)
    return found


def test_a_master_whose_disk_hangs_steps_down_if_a_majority_of_others_goes_on() -> None:
    one, over_ms = hanging("p", "q"), 1_100 + LEAST_HANG_MS

    assert ended(one, 1_150, over_ms - 50) == []
    assert ended(one, over_ms - 50, over_ms + 100) == [
        "its disk hangs: a sync does not return"
    ]


def test_a_master_whose_disk_hangs_reigns_on_where_others_alone_are_no_majority() -> (
    None
):
    assert ended(hanging("p"), 1_150, 1_200 + 2 * LEAST_HANG_MS) == []


def test_a_disk_that_is_only_slow_ends_no_reign() -> None:
    one, over_ms = hanging("p", "q"), 1_100 + LEAST_HANG_MS
    assert ended(one, 1_150, over_ms - 50) == []
    one.stored(Offset(2), over_ms - 40)
    one.written(Offset(3), over_ms - 20)
    one.written(Offset(4), over_ms)

    assert ended(one, over_ms, over_ms + LEAST_HANG_MS - 50) == []
