from typing import Any

import pytest
from msgspec.structs import replace

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.protocol.messages import VoteRequest
from nexus.replication.elections.effects import ElectionSettings, LogView, VoteRecord
from nexus.replication.elections.votes import FARTHEST, Refused, is_behind, refusal

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
SETTINGS = ElectionSettings(node_id=B, cluster_id="cluster")
RECORD = VoteRecord(Epoch(3))


def at(epoch: int, offset: int, history_id: str = "h") -> Position:
    return Position(Epoch(epoch), Offset(offset), HistoryId(history_id))


LOG = LogView(position=at(2, 10), voters=(A, B, C))
REQUEST = VoteRequest("cluster", Epoch(4), A, at(2, 10), HistoryId("h"))


def judged(
    record: VoteRecord = RECORD,
    log: LogView = LOG,
    *,
    sticks: bool = False,
    **changes: Any,
) -> Refused | None:
    request = replace(REQUEST, **changes)
    return refusal(request, SETTINGS, record, log, sticks=sticks)


@pytest.mark.parametrize("position", [at(2, 10), at(2, 11), at(3, 1, "other")])
def test_a_candidate_that_is_not_behind_gets_the_vote(position: Position) -> None:
    assert judged(position=position) is None


@pytest.mark.parametrize("position", [at(2, 9), at(1, 99, "old"), Position()])
def test_a_candidate_that_is_behind_gets_none(position: Position) -> None:
    verdict = judged(position=position)

    assert verdict is not None
    assert verdict.behind
    assert verdict.adopts


def test_the_epoch_of_the_last_entry_decides_before_the_length() -> None:
    assert is_behind(at(1, 99), at(2, 1))
    assert not is_behind(at(2, 1), at(1, 99))
    assert is_behind(at(2, 1), at(2, 2))
    assert not is_behind(at(2, 2), at(2, 2))


def test_two_histories_of_one_epoch_get_no_vote() -> None:
    verdict = judged(position=at(2, 99, "other"))

    assert verdict is not None
    assert "two histories" in verdict.reason


def test_one_vote_an_epoch_is_given_and_given_again_to_the_same() -> None:
    voted = VoteRecord(Epoch(4), A)

    assert judged(voted) is None
    assert judged(voted, candidate_id=C) is not None
    assert judged(voted, candidate_id=C, epoch=Epoch(5)) is None


def test_a_pre_vote_is_for_a_new_epoch_only() -> None:
    assert judged(epoch=Epoch(3)) is None
    assert judged(epoch=Epoch(3), pre_vote=True) is not None
    assert judged(epoch=Epoch(2)) is not None


def test_a_voter_that_hears_its_master_keeps_vote_and_epoch() -> None:
    verdict = judged(sticks=True)

    assert verdict is not None
    assert not verdict.adopts
    assert judged(sticks=True, transfer=True) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"cluster_id": "other"},
        {"candidate_id": NodeId("stranger")},
        {"epoch": Epoch(4 + FARTHEST)},
    ],
)
def test_a_stranger_gets_no_vote_and_moves_no_epoch(changes: dict[str, Any]) -> None:
    verdict = judged(**changes)

    assert verdict is not None
    assert not verdict.adopts


def test_a_candidate_that_a_later_entry_has_added_may_be_elected() -> None:
    assert judged(candidate_id=NodeId("d"), position=at(2, 11)) is None


@pytest.mark.parametrize("voters", [(), (A, C)])
@pytest.mark.parametrize("position", [at(2, 10), at(1, 99, "old")])
def test_a_node_that_its_own_log_does_not_name_is_no_voter(
    voters: tuple[NodeId, ...], position: Position
) -> None:
    assert judged(log=replace(LOG, voters=voters), position=position) is not None


def test_a_voter_that_a_later_entry_has_added_may_be_needed_for_the_majority() -> None:
    assert judged(log=replace(LOG, voters=(A, C)), position=at(2, 11)) is None


def test_a_log_that_lacks_what_was_acknowledged_does_not_vote() -> None:
    assert judged(log=replace(LOG, sound=False)) is not None
