"""Each candidacy is won or lost."""

from typing import Any

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.node.elections.ballots import Ballots
from nexus.node.telemetry.measures import Measures
from nexus.replication.effects import Level, Report
from nexus.replication.elections.effects import BecomeMaster, PersistVote

STANDS = PersistVote(Epoch(2), NodeId("own"))
WINS = BecomeMaster(Epoch(2), "failover")  # type: ignore[arg-type]  # any reason
ENDS = Report(Level.INFO, "election_ended", "candidate: no majority")


def counted(*effects: Any) -> Measures:
    measures = Measures()
    ballots = Ballots(measures, "own")
    for effect in effects:
        ballots.notice((effect,))
    return measures


def test_an_election_is_started_and_won() -> None:
    assert counted(STANDS, WINS).elections == {"started": 1, "won": 1, "lost": 0}


def test_a_campaign_that_ends_or_is_begun_anew_was_lost() -> None:
    counts = counted(STANDS, ENDS, STANDS, STANDS, WINS).elections

    assert counts == {"started": 3, "won": 1, "lost": 2}


def test_a_vote_for_another_ends_the_own_candidacy() -> None:
    counts = counted(STANDS, PersistVote(Epoch(3), NodeId("other"))).elections

    assert counts == {"started": 1, "won": 0, "lost": 1}


def test_what_others_do_is_not_counted() -> None:
    counts = counted(
        ENDS, PersistVote(Epoch(3), NodeId("other")), Report(Level.INFO, "x", "")
    ).elections

    assert counts == {"started": 0, "won": 0, "lost": 0}
