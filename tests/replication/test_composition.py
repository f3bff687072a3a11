"""What one machine's effects mean for the others."""

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, Offset
from nexus.protocol.messages import TakeOver, VoteReply
from nexus.replication.effects import StepDown
from nexus.replication.election_effects import PersistVote, VoteRecord
from nexus.replication.member import Member
from nexus.replication.member_effects import MemberStanding
from nexus.replication.settings import Standing
from replication.alone import member, reigns
from replication.examples import TWO_REIGNS


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
    standing = MemberStanding(
        log=Standing(history=TWO_REIGNS, durable_offset=Offset(20)),
        record=VoteRecord(Epoch(1), NodeId("b")),
    )

    again = Member(one._identity, one._settings, standing, lambda: 0.0, 0)

    assert again.epoch == 2
    assert again.elector.record.voted_for == ""
