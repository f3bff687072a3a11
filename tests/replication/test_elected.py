"""What a reign by vote allows."""

import pytest
from msgspec.structs import replace

from nexus.errors import WrongRoleError
from nexus.model.cluster import Mode, NodeId
from nexus.model.operation import Membership
from nexus.model.position import Epoch, Offset
from nexus.protocol.messages import VoteReply
from nexus.replication.effects import StepDown
from nexus.replication.election_effects import TakeWrites
from nexus.replication.member import Member
from nexus.replication.member_effects import MemberEffects
from replication.alone import elected, follows, member, only, reigns


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
        return one.objection(Membership("cluster", named))

    assert objection("a", "b") == ""
    assert objection("a") == ""
    assert "one voter" in objection("a", "b", "c")
    assert "switch over" in objection("b")


def test_a_change_waits_for_the_one_before_it() -> None:
    one = member("a", mode=Mode.ASYNC)
    early = one.objection(Membership("cluster", (("a", "a"),)))
    reigns(one, one.tick(1_000), 1_000)
    both = Membership("cluster", (("a", "a"), ("b", "b")))

    one.configured(Offset(2), both, 1_100)

    assert early == "this node is no master"
    assert "not committed yet" in one.objection(both)


def test_before_its_first_entry_a_master_changes_nothing_and_hands_over_to_nobody() -> (
    None
):
    one = member("a", "b")
    reigns(one, won(one), 1_030)
    both = Membership("cluster", (("a", "a"), ("b", "b")))

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
    both = Membership("cluster", (("a", "a"), ("b", "b")), mode=Mode.SYNC)

    one.configured(Offset(3), both, 1_050)

    assert one.master is not None
    assert one.master.commit_offset == 0
    assert one.master._secured == 2


def test_a_sync_quorum_counts_from_the_entry_that_makes_the_mode_sync() -> None:
    one = member("a", "b", "c", mode=Mode.ASYNC, sync_quorum=3)
    reigns(one, won(one), 1_030)
    assert one.master is not None
    assert one.master.quorum == 0
    named = Membership("cluster", (("a", "a"), ("b", "b"), ("c", "c")), mode=Mode.SYNC)

    one.configured(Offset(2), named, 1_050)

    assert one.master.quorum == 3
    one.configured(Offset(3), replace(named, mode=Mode.ASYNC), 1_060)
    assert one.master.quorum == 0


def test_voters_change_by_what_a_majority_holds_whatever_the_quorum() -> None:
    one = elected("a", "b", "c", sync_quorum=1)
    two = Membership("cluster", (("a", "a"), ("b", "b")))
    assert one.master is not None
    assert one.master.takes_writes

    alone = one.objection(two)
    follows(one, "b")

    assert "first entry" in alone
    assert one.objection(two) == ""


def test_there_are_never_fewer_voters_than_the_quorum_asks_for() -> None:
    one = elected("a", "b", sync_quorum=2)
    follows(one, "b")

    assert "asks for as many" in one.objection(Membership("cluster", (("a", "a"),)))
