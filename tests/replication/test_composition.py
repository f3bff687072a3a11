"""What one machine's effects mean for the others."""

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.protocol.messages import TakeOver, VoteReply
from nexus.replication.effects import StepDown
from nexus.replication.election_effects import PersistVote
from replication.alone import member, reigns


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
