"""What a reign by vote allows."""

from nexus.model.cluster import Mode
from nexus.model.operation import Membership
from replication.alone import member, reigns


def test_only_one_voter_changes_at_a_time_and_never_the_master() -> None:
    one = member("a", mode=Mode.ASYNC)
    reigns(one, one.tick(1_000), 1_000)

    def objection(*voters: str) -> str:
        named = tuple((voter, voter) for voter in voters)
        return one.objection(Membership("cluster", named))

    assert objection("a", "b") == ""
    assert "one voter" in objection("a", "b", "c")
    assert "switch over" in objection("b")
