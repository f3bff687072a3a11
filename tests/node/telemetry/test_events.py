"""Events are logged, kept in their order, and counted."""

import threading
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from nexus.model.position import Offset
from nexus.node.telemetry.events import EventLog
from nexus.replication.effects import Level, Report
from node.builders import PATIENCE_S


@pytest.fixture
def events() -> EventLog:
    return EventLog(most=3)


def test_an_event_says_when_it_was_and_where_the_node_stood(events: EventLog) -> None:
    events.locate(lambda: (7, Offset(101)))
    before = datetime.now(UTC)

    events.warning("quorum_lost", "1 of 2 are there")

    (event,) = events.since(0)
    assert (event.kind, event.level) == ("quorum_lost", Level.WARNING)
    assert (event.epoch, event.offset) == (7, 101)
    assert event.detail == "1 of 2 are there"
    passed = datetime.fromisoformat(event.time) - before
    assert passed.total_seconds() > -0.002
    assert event.time.endswith("+00:00")


def test_an_event_is_a_line_of_the_log_at_its_level(events: EventLog) -> None:
    with capture_logs() as lines:
        events.info("voted", "for n2 in epoch 3")
        events.error("disk_full", "no space is left")

    place = {"epoch": 0, "offset": 0}
    assert lines == [
        place | {"event": "voted", "detail": "for n2 in epoch 3", "log_level": "info"},
        place
        | {"event": "disk_full", "detail": "no space is left", "log_level": "error"},
    ]


def test_ids_rise_even_within_one_microsecond(
    events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus.node.telemetry.events.time.time_ns", lambda: 5_000)

    events.info("paused", "")
    events.info("resumed", "")

    assert [event.id for event in events.since(0)] == [5, 6]


def test_events_of_two_threads_are_kept_in_the_order_of_their_ids(
    events: EventLog,
) -> None:
    """Whoever has read one of them is given the other."""
    begun, goes_on = threading.Event(), threading.Event()
    looks: list[int] = []

    def place() -> tuple[int, Offset]:
        if threading.current_thread() is slow:
            looks.append(1)
            if len(looks) == 2:  # it is logged, and not kept yet
                begun.set()
                assert goes_on.wait(PATIENCE_S)
        return 1, Offset(1)

    slow = threading.Thread(target=events.info, args=("voted", ""))
    events.locate(place)
    slow.start()
    assert begun.wait(PATIENCE_S)
    events.info("paused", "")
    (known,) = events.since(0)
    goes_on.set()
    slow.join()

    assert [event.kind for event in events.since(known.id)] == ["voted"]


def test_the_newest_are_kept_and_all_are_counted(events: EventLog) -> None:
    for number in range(5):
        events.info("voted", f"in epoch {number}")

    assert [event.detail[-1] for event in events.since(0)] == ["2", "3", "4"]
    assert events.counts == {"voted": 5}


def test_one_who_knows_an_event_is_given_those_after_it(events: EventLog) -> None:
    events.info("paused", "")
    (known,) = events.since(0)
    events.info("resumed", "")

    assert [event.kind for event in events.since(known.id)] == ["resumed"]
    assert events.since(events.since(0)[-1].id) == ()


def test_what_a_machine_reports_is_an_event(events: EventLog) -> None:
    events.report(Report(Level.ERROR, "install_failed", "a chunk is torn"))

    (event,) = events.since(0)
    assert (event.kind, event.level) == ("install_failed", Level.ERROR)
    assert event.detail == "a chunk is torn"


def test_the_chatter_of_elections_is_logged_and_not_kept(events: EventLog) -> None:
    with capture_logs() as lines:
        events.report(Report(Level.INFO, "election_ended", "no majority"))

    assert events.since(0) == ()
    assert [line["event"] for line in lines] == ["election_ended"]


def test_events_of_a_named_database_are_logged_with_its_name() -> None:
    events = EventLog()
    events.locate(lambda: (3, Offset(30)), "orders")

    with capture_logs() as lines:
        events.info("reign_began", "epoch 3")

    assert [line["database"] for line in lines] == ["orders"]
