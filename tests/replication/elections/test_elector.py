"""Claims that a transcript cannot make; the others are in test_election_scenarios."""

import msgspec
import pytest

from nexus.model.cluster import NodeId
from nexus.model.position import ORIGIN, Epoch, HistoryId, Offset, Position
from nexus.protocol.messages import TakeOver, VoteReply, VoteRequest
from nexus.replication.effects import StepDown
from nexus.replication.elections.effects import (
    BecomeMaster,
    ElectionSettings,
    Fetch,
    LogView,
    PersistVote,
    SendVote,
    VoteRecord,
    Why,
)
from nexus.replication.elections.elector import Elector
from nexus.replication.elections.moves import ElectionState

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
SETTINGS = ElectionSettings(
    node_id=A, cluster_id="cluster", heartbeat_ms=100, missed_heartbeats=3, spread_ms=50
)
NO_ID = HistoryId("")
THREE = LogView(voters=(A, B, C))


def elector(log: LogView = THREE, epoch: int = 0) -> Elector:
    return Elector(SETTINGS, VoteRecord(Epoch(epoch)), lambda: log, lambda: 0.5, 0)


def elected() -> Elector:
    one = elector()
    one.tick(400)
    one.receive(B, VoteReply(Epoch(1), granted=True, pre_vote=True), 401)
    one.receive(B, VoteReply(Epoch(1), granted=True), 402)
    assert one.reigns
    return one


def test_the_own_vote_is_durable_before_any_is_asked_for() -> None:
    one = elector()
    one.tick(400)

    effects = one.receive(C, VoteReply(Epoch(1), granted=True, pre_vote=True), 401)

    assert [type(effect) for effect in effects] == [PersistVote, SendVote, SendVote]
    assert effects[0] == PersistVote(Epoch(1), A)
    assert one.record == VoteRecord(Epoch(1), A)


def test_the_patience_of_a_follower_is_its_own() -> None:
    one = elector()

    assert one.tick(300 + 27) == ()
    assert one.tick(300 + 28) != ()


def test_a_lone_voter_elects_itself() -> None:
    one = elector(LogView(voters=(A,)))

    effects = one.tick(400)

    assert effects[-1] == BecomeMaster(Epoch(1), Why.FAILOVER)


def test_a_pre_vote_is_never_counted_as_a_vote() -> None:
    one = elector()
    one.tick(400)
    one.receive(B, VoteReply(Epoch(1), granted=True, pre_vote=True), 401)

    one.receive(B, VoteReply(Epoch(1), granted=True, pre_vote=True), 402)

    assert one.state is ElectionState.CANDIDATE


def test_one_voter_that_answers_twice_is_one_vote() -> None:
    one = elector(LogView(voters=(A, B, C, NodeId("d"), NodeId("e"))))
    one.tick(400)

    for _ in range(4):
        one.receive(B, VoteReply(Epoch(1), granted=True, pre_vote=True), 401)

    assert one.state is ElectionState.PRE_CANDIDATE


def test_strangers_and_old_votes_do_not_count() -> None:
    one = elector()
    one.tick(400)
    stranger = NodeId("stranger")

    one.receive(stranger, VoteReply(Epoch(1), granted=True, pre_vote=True), 401)
    one.receive(B, VoteReply(Epoch(9), granted=True, pre_vote=True), 401)

    assert one.state is ElectionState.PRE_CANDIDATE


def test_a_refusal_out_of_a_higher_epoch_ends_the_campaign() -> None:
    one = elector()
    one.tick(400)

    effects = one.receive(B, VoteReply(Epoch(7), granted=False, pre_vote=True), 401)

    assert effects[-1] == PersistVote(Epoch(7), NodeId(""))
    assert one.state is ElectionState.FOLLOWER


def test_a_deposed_master_stops_before_anything_else() -> None:
    one = elected()

    effects = one.met(Epoch(5), 500)

    assert [type(effect) for effect in effects] == [StepDown, PersistVote]
    assert one.met(Epoch(5), 501) == ()


def test_a_master_in_contact_keeps_its_epoch_before_a_candidate() -> None:
    one = elected()
    request = VoteRequest("cluster", Epoch(9), B, THREE.position, NO_ID)

    effects = one.receive(B, request, 10_000)

    assert [type(effect) for effect in effects] == [SendVote]
    assert one.epoch == 1


def test_a_request_in_another_nodes_name_is_not_answered() -> None:
    one = elector()
    request = VoteRequest("cluster", Epoch(1), B, THREE.position, NO_ID)

    assert one.receive(C, request, 400) == ()


@pytest.mark.parametrize("log", [LogView(), LogView(voters=(B, C))])
def test_who_is_no_voter_never_stands(log: LogView) -> None:
    one = elector(log)

    assert one.tick(10_000) == ()
    assert one.campaign(20_000) == ()
    assert one.receive(B, TakeOver(Epoch(0)), 20_000) == ()


def test_the_order_of_an_old_master_is_not_taken() -> None:
    assert elector(epoch=2).receive(B, TakeOver(Epoch(1)), 10) == ()


def test_an_older_masters_heartbeat_is_not_listened_to() -> None:
    one = elector(epoch=2)
    one.heard(Epoch(1), 300)

    assert one.tick(400) != ()


def test_what_does_not_fit_the_state_does_nothing() -> None:
    one = elector()

    assert one.fetched(1) == ()
    assert one.lost_quorum(1) == ()
    assert one.switchover(B, 1) == ()
    assert one.heir_ready(1) == ()
    assert elected().tick(10_000) == ()


def test_a_fetch_asks_the_witness_that_was_ahead() -> None:
    one = elector()
    one.tick(400)
    no = VoteReply(Epoch(0), granted=False, pre_vote=True, lends=True)
    one.receive(C, no, 401)

    effects = one.receive(B, VoteReply(Epoch(0), granted=False, pre_vote=True), 402)

    assert effects == (Fetch(C),)


def test_a_campaign_ends_when_a_master_of_its_epoch_is_heard() -> None:
    one = elector(epoch=1)
    states = []
    for step in (one.tick, lambda now_ms: one.heard(Epoch(1), now_ms)):
        step(400)
        states.append(one.state)

    assert states == [ElectionState.PRE_CANDIDATE, ElectionState.FOLLOWER]


def test_a_vote_that_is_left_in_a_known_epoch_is_given_without_a_farewell() -> None:
    one = elector(epoch=1)
    asks = VoteRequest("cluster", Epoch(1), B, ORIGIN, NO_ID)

    persisted, sent = one.receive(B, asks, 10_000)

    assert isinstance(persisted, PersistVote)
    assert isinstance(sent, SendVote)
    assert isinstance(sent.message, VoteReply)
    assert sent.message.granted


def test_an_empty_node_leaves_the_first_reign_to_the_founder() -> None:
    end = Position(Epoch(1), Offset(1), HistoryId("i"))
    holds = LogView(voters=(A, B, C), position=end)

    assert founded_by(B, THREE).tick(400) == ()
    assert founded_by(B, holds).tick(400) != ()
    assert founded_by(A, THREE).tick(400) != ()


def founded_by(founder: NodeId, log: LogView) -> Elector:
    settings = msgspec.structs.replace(SETTINGS, founder=founder)
    return Elector(settings, VoteRecord(), lambda: log, lambda: 0.5, 0)


def test_who_has_had_no_master_waits_for_none() -> None:
    first = Elector(
        SETTINGS, VoteRecord(), lambda: THREE, lambda: 0.5, 0, had_master=False
    )
    asked = VoteRequest("cluster", Epoch(1), B, ORIGIN, NO_ID)

    assert first.tick(27) == ()
    assert [type(effect) for effect in first.tick(28)] == [SendVote, SendVote]
    assert PersistVote(Epoch(1), B) in first.receive(B, asked, 29)
