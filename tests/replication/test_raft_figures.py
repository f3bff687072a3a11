"""The figures of the Raft paper, and what its thesis adds, as this code plays them.

Figure 4 and 5 are transcripts (`tests/scenarios/elections`). An epoch is a term, the
list of reigns tells the terms of a log: "4 from 4 on" is a reign's first entry.
"""

from itertools import combinations
from typing import Final

import pytest

from nexus.model.cluster import NodeId
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Configuration
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position, Reign
from nexus.protocol.messages import Hello, Plan, VoteRequest, WalAck
from nexus.replication.effects import CommitAdvanced, Peer, Send
from nexus.replication.elections.effects import (
    BecomeMaster,
    ElectionSettings,
    LogView,
    PersistVote,
    VoteRecord,
)
from nexus.replication.elections.moves import ElectionState
from nexus.replication.elections.votes import refusal
from nexus.replication.handshake.admission import Admission, judged
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.members.electorate import ConfigurationEntry, Electorate
from nexus.replication.members.voting_replica import VotingReplica
from nexus.replication.quorum import majority
from nexus.replication.settings import (
    Identity,
    LogExtent,
    MasterSettings,
    RecoveredState,
    ReplicaSettings,
)
from nexus.replication.streaming.streams import Streams
from replication.alone import elected, follows, member
from replication.polls import DEAD_MS, Polls

Terms = str
"""The term of each entry of a log, as the figures write them: "1114455666"."""


def history_of(terms: Terms) -> EpochHistory:
    """A reign for each term, from its first entry on."""
    firsts = {term: at for at, term in reversed(list(enumerate(terms, start=1)))}
    return EpochHistory(
        tuple(
            Reign(Epoch(int(term)), HistoryId(f"h{term}"), "m", Offset(first), 0, "")
            for term, first in sorted(firsts.items())
        )
    )


def end_of(terms: Terms) -> Position:
    return history_of(terms).position_at(Offset(len(terms)))


def node(name: str) -> Identity:
    return Identity(node_id=NodeId(name), cluster_id="cluster", address=name)


def greets(name: str, terms: Terms) -> Hello:
    """A follower with this log."""
    end = Offset(len(terms))
    return hello_of(node(name), history_of(terms), end, epoch=end_of(terms).epoch)


def has_vote(candidate: Terms, voter: Terms, *, epoch: int) -> bool:
    """Whether a voter with the one log votes for a candidate with the other."""
    names = (NodeId("s1"), NodeId("s2"))
    request = VoteRequest(
        "cluster",
        Epoch(epoch),
        names[0],
        end_of(candidate),
        end_of(candidate).history_id,
    )
    settings = ElectionSettings(node_id=names[1], cluster_id="cluster")
    record = VoteRecord(Epoch(epoch - 1))
    log = LogView(position=end_of(voter), voters=names)
    return refusal(request, settings, record, log, sticks=False) is None


# --- Figure 7: what followers may look like when a leader comes to power -------------

LEADER: Final = "1114455666"
FOLLOWERS: Final = {
    "a": ("111445566", Plan.STREAM, 9),
    "b": ("1114", Plan.STREAM, 4),
    "c": ("11144556666", Plan.REWIND, 10),
    "d": ("111445566677", Plan.REWIND, 10),
    "e": ("1114444", Plan.REWIND, 5),
    "f": ("11122233333", Plan.REWIND, 3),
}


@pytest.mark.parametrize("name", FOLLOWERS)
def test_figure_7_each_follower_comes_to_the_leaders_log_by_the_shortest_way(
    name: str,
) -> None:
    log, plan, kept = FOLLOWERS[name]
    reign = history_of(LEADER + "8")
    extent = LogExtent(Offset(1), Offset(len(LEADER)))

    answer = judged(greets(name, log), node("leader"), reign, extent)

    assert answer == Admission(plan, Offset(kept))


def test_figure_7_only_those_that_hold_no_more_vote_for_that_leader() -> None:
    votes = {
        name
        for name, (log, _, _) in FOLLOWERS.items()
        if has_vote(LEADER, log, epoch=8)
    }

    assert votes == {"a", "b", "e", "f"}
    assert len({"leader", *votes}) >= majority(7)


# --- Figure 8: a leader cannot tell that an old entry is committed -------------------


def leader_of(log: Terms, *voters: str) -> Streams:
    """`s1` reigns in the log's last term, whose entry is durable on its own disk."""
    extent = LogExtent(Offset(1), Offset(len(log)))
    settings = MasterSettings(quorum=0)
    found = Streams(node("s1"), settings, history_of(log), extent, 0)
    found.elected(frozenset(map(NodeId, ("s1", *voters))))
    return found


def acknowledged(found: Streams, name: str, terms: Terms) -> tuple[object, ...]:
    """A follower's log is now the leader's up to there; what that leads to."""
    progress = found.fleet.join(Peer(f"{name}#{terms}"), greets(name, terms), 0)
    assert progress is not None
    end = Offset(len(terms))
    progress.streams_from(end, Offset(0))
    effects = found.acknowledged(progress, WalAck(end, Offset(0)), 0)
    found.fleet.leave(Peer(f"{name}#{terms}"), 0)
    return effects


def test_figure_8_an_old_entry_on_a_majority_is_not_committed_and_may_go() -> None:
    leader = leader_of("124", "s2", "s3", "s4", "s5")

    # (c): s1 reigns again, in term 4; entry 2 of term 2 reaches a majority.
    for name in ("s2", "s3"):
        acknowledged(leader, name, "12")

    assert leader.durable_on(Offset(2)) == 3
    assert leader.commit == 0
    # (d): s5, with its own entry 2 of term 3, may still be elected, and overwrites it.
    logs = {"s2": "12", "s3": "12", "s4": "1"}
    assert all(has_vote("13", log, epoch=5) for log in logs.values())


def test_figure_8_with_an_entry_of_the_leaders_own_term_all_before_it_commits() -> None:
    leader = leader_of("124", "s2", "s3", "s4", "s5")

    # (e): the entry of term 4 reaches a majority.
    early = acknowledged(leader, "s2", "124")
    advanced, *_ = acknowledged(leader, "s3", "124")

    assert not any(isinstance(one, CommitAdvanced) for one in early)
    assert advanced == CommitAdvanced(Offset(3))
    voters = {"s1": "124", "s2": "124", "s3": "124", "s4": "1"}
    votes = [name for name, log in voters.items() if has_vote("13", log, epoch=5)]
    assert votes == ["s4"]


# --- Section 5.4.1: the election restriction (and figure 9, which rests on it) -------


@pytest.mark.parametrize(
    ("candidate", "voter", "votes"),
    [
        ("112", "1111", True),
        ("1111", "112", False),
        ("112", "11", True),
        ("11", "112", False),
        ("112", "112", True),
        ("1122", "112", True),
    ],
)
def test_section_5_4_1_the_later_term_wins_then_the_longer_log(
    candidate: Terms, voter: Terms, *, votes: bool
) -> None:
    assert has_vote(candidate, voter, epoch=9) is votes


def test_figure_9_whoever_holds_a_committed_entry_refuses_a_candidate_without_it() -> (
    None
):
    committed = "1122"
    holders, others = ("s1", "s2", "s3"), ("s4", "s5")

    for lacks in ("1", "11", "112", "1111111"):
        votes = [name for name in holders if has_vote(lacks, committed, epoch=9)]
        assert votes == []
        assert len(others) < majority(len(holders) + len(others))


# --- Figures 10 to 12: voters that change, and snapshots -----------------------------


def configuration(*names: str) -> Configuration:
    return Configuration("cluster", tuple((name, name) for name in names))


def test_figure_10_two_voters_at_once_would_make_two_majorities_and_are_refused() -> (
    None
):
    old, new = {"a", "b", "c"}, {"a", "b", "c", "d", "e"}
    assert any(
        not set(one) & set(other)
        for one in combinations(sorted(old), majority(3))
        for other in combinations(sorted(new), majority(5))
    )
    leader = elected("a", "b", "c")
    follows(leader, "b")

    refused = leader.objection(configuration(*sorted(new)))

    assert "one voter" in refused


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_figure_10_any_two_majorities_share_a_voter_if_one_is_added(size: int) -> None:
    old = [f"s{number}" for number in range(size)]

    for one in combinations(old, majority(size)):
        for other in combinations([*old, "new"], majority(size + 1)):
            assert set(one) & set(other)


def configured(offset: int, named: Configuration) -> Record:
    payload = encode_payload(Payload(0, "", b"", (named,)))
    return Record(Epoch(1), Offset(offset), payload)


def test_figure_11_a_configuration_is_in_force_from_its_entry_committed_or_not() -> (
    None
):
    before, after = configuration("a", "b", "c"), configuration("a", "b", "c", "d")
    follower = Electorate((ConfigurationEntry(Offset(0), before),))

    follower.appended((configured(5, after),))
    in_force = follower.voters
    follower.truncated_after(Offset(4))

    assert in_force == ("a", "b", "c", "d")
    assert follower.voters == ("a", "b", "c")


def test_figure_11_the_next_one_waits_until_this_one_is_committed() -> None:
    leader = elected("a", "b", "c")
    follows(leader, "b")
    four, five = (
        configuration("a", "b", "c", "d"),
        configuration("a", "b", "c", "d", "e"),
    )
    assert leader.objection(four) == ""

    leader.configured(Offset(2), four, 1_100)
    leader.stored(Offset(2), 1_110)
    waits = leader.objection(five)
    for name in ("b", "c"):
        follows(leader, name, end=2)

    assert "not committed yet" in waits
    assert leader.objection(five) == ""


SNAPSHOT: Final = "11123"
"""Figure 12: five entries, the last of term 3, are replaced by a snapshot."""


def test_figure_12_a_log_behind_a_snapshot_begins_after_it() -> None:
    reign = history_of(SNAPSHOT + "33")
    extent = LogExtent(Offset(6), Offset(7))

    has_it = judged(greets("b", SNAPSHOT), node("a"), reign, extent)
    lacks_it = judged(greets("b", "1112"), node("a"), reign, extent)

    assert has_it == Admission(Plan.STREAM, Offset(5))
    assert lacks_it == Admission(Plan.FULL_SYNC, Offset(4))


def test_figure_12_a_follower_goes_on_from_the_snapshots_last_index_and_term() -> None:
    settings = ReplicaSettings(addresses=("a",))
    follower = VotingReplica(node("b"), settings, RecoveredState(), lambda: 0.0)
    follower.start()

    follower.installed(end_of(SNAPSHOT), history_of(SNAPSHOT), 0)
    (said,) = follower.connected_to_master(1)

    assert isinstance(said, Send)
    assert isinstance(said.message, Hello)
    assert said.message.position == Position(Epoch(3), Offset(5), HistoryId("h3"))
    assert said.message.history == history_of(SNAPSHOT)


def test_figure_12_a_snapshot_brings_the_configuration_of_its_last_index() -> None:
    follower = member("b", "a", "c")

    latest = ConfigurationEntry(Offset(4), configuration("a", "b", "d"))
    follower.installed(end_of(SNAPSHOT), history_of(SNAPSHOT), (latest,), 0)

    assert follower.voters == ("a", "b", "d")


# --- The thesis: leadership transfer (3.10), pre-vote (9.6) --------------------------


def three() -> Polls:
    """`a` reigns in epoch 1, and was heard just now."""
    polls = Polls()
    for number, name in enumerate("abc"):
        polls.add(name, luck=number / 3)
    polls.form()
    polls.tick(2 * DEAD_MS)
    for name in "bc":
        polls.write(name, 1, 1)
    assert polls.state("a") is ElectionState.MASTER
    return polls


def test_section_3_10_the_heir_is_elected_at_once_although_the_master_is_heard() -> (
    None
):
    polls = three()
    leader, now_ms = polls.machine("a"), polls.now_ms

    polls.perform("a", leader.switchover(NodeId("b"), now_ms))
    polls.heartbeat("a")
    polls.perform("a", leader.heir_ready(now_ms))
    polls.deliver()

    assert polls.now_ms == now_ms
    assert polls.state("b") is ElectionState.MASTER
    assert polls.state("a") is ElectionState.FOLLOWER
    assert {voter.record.epoch for voter in polls.voters.values()} == {2}


def test_section_3_10_an_heir_that_does_not_come_costs_one_dead_time() -> None:
    polls = three()
    polls.cut.add(frozenset("ab"))

    leader = polls.machine("a")
    polls.perform("a", leader.switchover(NodeId("b"), polls.now_ms))
    polls.perform("a", leader.heir_ready(polls.now_ms))
    state = polls.state("a")
    polls.tick(DEAD_MS)

    assert state is ElectionState.HANDING_OVER
    assert polls.state("a") is ElectionState.MASTER
    assert polls.machine("a").epoch == 1


def test_section_9_6_a_node_that_was_cut_off_disturbs_nobody_when_it_is_back() -> None:
    polls = three()
    polls.cut |= {frozenset("ac"), frozenset("bc")}
    polls.tick(5 * DEAD_MS)

    asked = polls.voters["c"].seen
    polls.cut.clear()
    polls.tick(DEAD_MS)

    assert not any(isinstance(one, BecomeMaster) for one in asked)
    assert [one.epoch for one in asked if isinstance(one, PersistVote)] == [1]
    assert polls.state("a") is ElectionState.MASTER
    assert {voter.record.epoch for voter in polls.voters.values()} == {1}
