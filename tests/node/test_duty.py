"""What a node tells of the duty it has just now."""

import pytest

from nexus.config import load
from nexus.errors import NodeStoppedError, WrongRoleError
from nexus.model.position import EpochHistory
from nexus.node.duty import CurrentDuty
from node.builders import Crowd


async def test_a_node_without_voters_is_none(crowd: Crowd) -> None:
    duties = (await crowd.node("n"))._duties

    assert not duties.votes
    with pytest.raises(WrongRoleError, match="has no voters"):
        duties.voting()
    duties.require_no_voter()


async def test_a_replica_has_no_reign_and_names_who_has(crowd: Crowd) -> None:
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)

    assert master._duties.reigning() is master._duties.duty
    with pytest.raises(WrongRoleError, match="this node is no master"):
        replica._duties.reigning()


def test_before_it_is_open_a_node_has_nothing_to_work_with() -> None:
    duty = CurrentDuty(load(None, {}, {}))

    assert not duty.is_open
    with pytest.raises(NodeStoppedError, match="start it first"):
        duty.parts  # noqa: B018 - it raises
    assert duty.history == EpochHistory()
    assert duty.trouble == "this node has no role just now"
