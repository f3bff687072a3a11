"""A downstream goes back to its own upstream once that is well for long enough."""

import pytest

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, Offset
from nexus.protocol.messages import Error, ErrorCode, Plan
from nexus.replication.following.homing import ANSWERS, MOST_TIMES, Homing, Reply
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.link import Link
from nexus.replication.settings import RecoveredState, ReplicaSettings
from replication.examples import ONE_REIGN, welcome

HOME, OTHER = "home:1", "other:1"
STEADY_MS = 60_000
EACH_MS = STEADY_MS // ANSWERS
SETTINGS = ReplicaSettings(
    addresses=(HOME, OTHER), heartbeat_ms=1_000, cascades=True, home_ms=STEADY_MS
)


class Away:
    """A replica that has lost its upstream at 0, and streams from another one."""

    def __init__(self) -> None:
        end = Offset(5)
        log = Incoming(RecoveredState(history=ONE_REIGN, durable_offset=end))
        self.log = log
        self.link = Link(SETTINGS, lambda: 0.0)
        self.homing = Homing(NodeId("r"), self.link, log, steady_ms=STEADY_MS)
        self.link.started()
        self.streams(0)
        self.fails(0)

    def streams(self, now_ms: int) -> None:
        self.link.connected(now_ms)
        self.link.welcomed(1_000, now_ms)
        self.link.begins_streaming(paused=False)
        self.homing.due(now_ms)

    def fails(self, now_ms: int) -> None:
        """Whoever is followed has gone; the other one is found."""
        self.link.broken("gone")
        self.streams(now_ms)

    def asked(self, now_ms: int, reply: Reply = None) -> list[str]:
        """What follows from this answer, where it is time to ask."""
        assert self.homing.due(now_ms) == HOME
        effects = self.homing.answered(
            reply, cluster_id="cluster", epoch=Epoch(1), now_ms=now_ms
        )
        return [type(effect).__name__ for effect in effects]


def home() -> Reply:
    return welcome(5)


def test_it_goes_back_after_good_answers_for_all_of_the_time() -> None:
    away = Away()
    assert away.homing.due(EACH_MS - 1) == ""

    found = [away.asked(n * EACH_MS, home()) for n in range(1, ANSWERS + 1)]

    assert found == [[]] * (ANSWERS - 1) + [["Report", "Disconnect", "Connect"]]
    assert away.link.address == HOME
    assert away.homing.due(STEADY_MS + EACH_MS) == ""


@pytest.mark.parametrize(
    "reply",
    [
        None,
        Error(ErrorCode.BUSY, "it looks for its own upstream"),
        welcome(5, plan=Plan.FULL_SYNC),
        welcome(5, cluster_id="another"),
        welcome(5, features=("via=home,r,m",)),
    ],
    ids=["silence", "refusal", "full sync", "another cluster", "a loop"],
)
def test_an_answer_that_is_not_good_has_it_wait_all_of_the_time_again(
    reply: Reply,
) -> None:
    away = Away()
    for number in range(1, ANSWERS):
        away.asked(number * EACH_MS, home())

    assert away.asked(ANSWERS * EACH_MS, reply) == []
    assert away.asked((ANSWERS + 1) * EACH_MS, home()) == []
    assert away.link.address == OTHER


def test_it_asks_for_what_it_had_a_question_ago() -> None:
    away = Away()
    away.log.durable = away.log.received = Offset(9)

    away.asked(EACH_MS)
    first = away.homing.offset
    away.asked(2 * EACH_MS)

    assert (first, away.homing.offset) == (5, 9)


def test_each_return_that_does_not_last_doubles_the_time() -> None:
    away, now_ms, times = Away(), 0, []
    for _ in range(8):
        steps = 0
        while away.link.address == OTHER:
            now_ms += EACH_MS
            if away.homing.due(now_ms):
                away.homing.answered(
                    home(), cluster_id="cluster", epoch=Epoch(1), now_ms=now_ms
                )
            steps += 1
        times.append(steps // ANSWERS)
        away.streams(now_ms)
        away.fails(now_ms + 1)
        now_ms += 1

    assert times == [1, 2, 4, 8, 16, 32, MOST_TIMES, MOST_TIMES]


def test_a_return_that_lasts_is_as_if_there_had_been_none_before() -> None:
    away = Away()
    for number in range(1, ANSWERS + 1):
        away.asked(number * EACH_MS, home())
    away.streams(STEADY_MS)

    away.fails(2 * STEADY_MS)

    assert away.homing.due(2 * STEADY_MS + EACH_MS) == HOME


def test_an_answer_that_comes_after_the_connection_has_ended_changes_nothing() -> None:
    away = Away()
    for number in range(1, ANSWERS):
        away.asked(number * EACH_MS, home())
    assert away.homing.due(ANSWERS * EACH_MS) == HOME

    away.link.broken("gone")
    effects = away.homing.answered(
        home(), cluster_id="cluster", epoch=Epoch(1), now_ms=ANSWERS * EACH_MS
    )

    assert effects == ()
    assert away.homing.due(ANSWERS * EACH_MS * 2) == "", "nobody is followed"


def test_an_answer_that_is_not_good_counts_even_while_nobody_is_followed() -> None:
    away = Away()
    for number in range(1, ANSWERS):
        away.asked(number * EACH_MS, home())
    assert away.homing.due(ANSWERS * EACH_MS) == HOME
    away.link.broken("gone")
    away.homing.answered(
        None, cluster_id="cluster", epoch=Epoch(1), now_ms=ANSWERS * EACH_MS
    )
    away.link.broken("home is not there")
    away.streams(ANSWERS * EACH_MS)

    assert away.asked((ANSWERS + 1) * EACH_MS, home()) == []
    assert away.link.address == OTHER


def test_an_answer_that_comes_at_home_changes_nothing() -> None:
    away = Away()
    for number in range(1, ANSWERS + 1):
        away.asked(number * EACH_MS, home())
    away.streams(STEADY_MS)

    effects = away.homing.answered(
        home(), cluster_id="cluster", epoch=Epoch(1), now_ms=STEADY_MS
    )

    assert effects == ()
    assert away.link.streams
