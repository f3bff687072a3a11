"""Times are read as they are printed, to the microsecond."""

import pytest

from nexus.cli.times import read_time, said_time, time_us

NOON_US = 1_795_867_200_000_000


def test_a_time_is_said_as_it_is_read() -> None:
    assert said_time(NOON_US) == "2026-11-28T12:00:00.000Z"
    found = read_time(said_time(NOON_US))
    assert found is not None
    assert time_us(found) == NOON_US


def test_nothing_is_rounded() -> None:
    found = read_time(" 2026-11-28T13:00:00.000001+01:00 ")

    assert found is not None
    assert time_us(found) == NOON_US + 1


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "2026-13-01", "\0"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert read_time(text) is None
