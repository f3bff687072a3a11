"""What a delayed replica may apply, and when."""

import pytest

from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.position import Epoch, Offset
from nexus.replication.timing.delay import (
    MARKS_MOST,
    Delay,
    delay_features,
    delay_of,
    wanted_ms,
)

HOUR_MS = 3_600_000
NOON_MS = 1_700_000_000_000
END = Offset(100)


def written(offset: int, at_ms: int) -> Record:
    payload = Payload(at_ms * 1000, "", b"", ())
    return Record(Epoch(1), Offset(offset), encode_payload(payload))


def delay(*at_ms: int, arrived_ms: int = 0, delay_ms: int = HOUR_MS) -> Delay:
    """Entries 1, 2, … written then, arrived together."""
    found = Delay(delay_ms)
    for offset, each in enumerate(at_ms, start=1):
        found.received([written(offset, each)], arrived_ms)
    return found


def test_an_entry_is_ripe_once_it_is_so_old_by_the_masters_clock() -> None:
    """The clock shows ten minutes past noon when they come."""
    found = delay(NOON_MS, NOON_MS + 60_000)
    found.told((NOON_MS + 605_000) * 1000, 5_000)

    assert found.ripe(END, HOUR_MS - 600_001) == 0
    assert found.ripe(END, HOUR_MS - 600_000) == 1
    assert found.ripe(END, HOUR_MS - 540_001) == 1
    assert found.ripe(END, HOUR_MS - 540_000) == 2


@pytest.mark.parametrize("leap_ms", [365 * 24 * HOUR_MS, -HOUR_MS])
def test_no_leap_of_a_clock_and_no_other_master_moves_what_has_come(
    leap_ms: int,
) -> None:
    found = Delay(HOUR_MS)
    found.told(NOON_MS * 1000, 0)
    found.received([written(1, NOON_MS)], 0)
    found.received([written(2, NOON_MS + 60_000)], 60_000)

    found.told((NOON_MS + 60_000 + leap_ms) * 1000, 60_000)

    assert found.ripe(END, HOUR_MS - 1) == 0
    assert found.ripe(END, HOUR_MS) == 1
    assert found.ripe(END, HOUR_MS + 60_000) == 2


def test_what_comes_while_no_clock_is_known_is_dated_by_the_next_one() -> None:
    found = Delay(HOUR_MS)
    found.told(NOON_MS * 1000, 0)
    found.received([written(1, NOON_MS)], 0)
    found.told(0, 1_000)
    found.received([written(2, NOON_MS + 60_000)], 120_000)

    found.told((NOON_MS + 180_000) * 1000, 180_000)

    assert found.ripe(END, HOUR_MS) == 1
    assert found.ripe(END, HOUR_MS + 60_000) == 2


def test_what_was_here_at_the_start_is_as_old_as_the_first_clock_says() -> None:
    found = Delay(HOUR_MS)
    for offset, at_ms in ((1, NOON_MS), (2, NOON_MS + 60_000)):
        found.note(Offset(offset), at_ms * 1000)

    found.told((NOON_MS + 600_000) * 1000, 500)
    found.told((NOON_MS + 90 * HOUR_MS) * 1000, 600)

    assert found.ripe(END, 500 + HOUR_MS - 600_001) == 0
    assert found.ripe(END, 500 + HOUR_MS - 600_000) == 1
    assert found.ripe(END, 500 + HOUR_MS - 540_000) == 2


def test_no_entry_waits_longer_than_the_delay_after_it_has_come() -> None:
    """A master whose clock was a year ahead, and one that says nothing of its clock."""
    found = delay(NOON_MS + 365 * 24 * HOUR_MS, arrived_ms=7)
    silent = delay(NOON_MS, arrived_ms=7)
    found.told(NOON_MS * 1000, 7)
    silent.told(0, 7)

    assert (found.ripe(END, 6 + HOUR_MS), silent.ripe(END, 6 + HOUR_MS)) == (0, 0)
    assert (found.ripe(END, 7 + HOUR_MS), silent.ripe(END, 7 + HOUR_MS)) == (1, 1)


def test_what_was_in_the_log_at_the_start_counts_as_come_when_it_is_asked_for() -> None:
    found = Delay(HOUR_MS)
    found.note(Offset(1), NOON_MS * 1000)
    found.note(Offset(2), NOON_MS * 1000)
    found.received([written(3, NOON_MS)], 500)

    assert found.ripe(END, 600) == 0
    assert found.ripe(END, 600 + HOUR_MS) == 3


def test_an_entry_waits_for_the_one_before_it() -> None:
    found = delay(NOON_MS + 600_000, NOON_MS)
    found.told((NOON_MS + HOUR_MS + 1) * 1000, 0)

    assert found.ripe(END, 0) == 0
    assert found.ripe(END, 600_000) == 2


def test_no_more_is_ripe_than_may_be_applied_at_all() -> None:
    found = delay(NOON_MS, NOON_MS, NOON_MS)

    assert found.ripe(Offset(2), HOUR_MS) == 2
    assert found.ripe(Offset(3), HOUR_MS) == 3


def test_without_a_delay_everything_is_ripe() -> None:
    found = delay(NOON_MS, delay_ms=0)

    assert found.ripe(END, 0) == END


def test_what_was_released_is_ripe_and_what_follows_it_is_not() -> None:
    found = delay(NOON_MS, NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS)

    found.release(Offset(2))

    assert found.ripe(END, 1) == 2
    found.replaced(Offset(2))
    found.received([written(3, NOON_MS)], 5)
    assert found.ripe(END, 5) == 2


@pytest.mark.parametrize(("end", "left"), [(0, 0), (2, 2), (3, 3), (4, 4)])
def test_of_entries_taken_back_nothing_is_known(end: int, left: int) -> None:
    """The first two marks hold one entry each, the third holds two."""
    found = delay(NOON_MS, NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS)
    found.received([written(4, NOON_MS + 2 * HOUR_MS)], 0)

    found.ends_at(Offset(end))

    assert found.ripe(END, HOUR_MS) == left


def test_neighbours_share_a_mark_and_are_as_young_as_the_youngest() -> None:
    found = delay(NOON_MS, NOON_MS + 3_000, delay_ms=HOUR_MS)
    found.told((NOON_MS + HOUR_MS + 2_000) * 1000, 0)
    assert found.ripe(END, 999) == 0
    assert found.ripe(END, 1_000) == 2


def test_a_neighbour_that_comes_later_makes_its_mark_younger() -> None:
    found = Delay(HOUR_MS)
    found.told(NOON_MS * 1000, 0)
    found.received([written(1, NOON_MS)], 0)
    found.received([written(2, NOON_MS + 2_000)], 2_000)

    assert found.ripe(END, HOUR_MS + 1_999) == 0
    assert found.ripe(END, HOUR_MS + 2_000) == 2


def test_of_wild_clocks_no_more_is_remembered_than_there_is_room_for() -> None:
    found = Delay(HOUR_MS)

    for offset in range(1, MARKS_MOST + 10):
        found.received([written(offset, NOON_MS * (1 + offset % 2))], offset)

    assert len(found._marks) == MARKS_MOST
    assert found.ripe(Offset(1 << 40), HOUR_MS + MARKS_MOST + 10) == MARKS_MOST + 9


def test_a_node_says_by_how_much_it_is_delayed() -> None:
    assert delay_of(("other", *delay_features(1_500))) == 1_500
    assert delay_features(0) == ()
    assert delay_of(("delay", "delay=", "delay=x", "delay=-1")) == 0


def test_what_is_wanted_is_no_lag_nor_the_tick_that_follows() -> None:
    assert wanted_ms(0) == 0
    assert wanted_ms(HOUR_MS) == HOUR_MS + 2_000 + 3_600
