"""Which moment is meant, as it is written on a command line."""

import pytest
import typer

from nexus.archive.restoring import Moment
from nexus.cli.moments import moment_of

NOON_US = 1_795_867_200_000_000


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-11-28T12:00:00Z", NOON_US),
        ("2026-11-28 12:00", NOON_US),
        ("2026-11-28T13:00:00+01:00", NOON_US),
        ("2026-11-28T12:00:00.000001Z", NOON_US + 1),
        ("2026-11-28", NOON_US - 12 * 3_600_000_000),
    ],
)
def test_a_time_is_read_exactly_and_as_utc_without_a_zone(
    text: str, microseconds: int
) -> None:
    assert moment_of(None, text, None, None) == Moment(time_us=microseconds)


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "2026-13-01", "\0", "'"])
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        moment_of(None, text, None, None)


def test_an_offset_and_a_time_do_not_go_together() -> None:
    with pytest.raises(typer.BadParameter, match="give one of them"):
        moment_of(3, "2026-11-28", None, None)


def test_cluster_and_history_are_passed_on() -> None:
    assert moment_of(3, None, "c", "h") == Moment(3, None, "c", "h")  # type: ignore[arg-type]  # an Offset by value
