"""Lag is counted from the answer to the first sighting."""

from nexus.cli.bench.lag import lags_ms


def test_a_row_is_seen_with_the_first_sighting_at_or_above_its_id() -> None:
    sightings = [(1_000_000, 2), (5_000_000, 7)]

    assert lags_ms([(0, 1), (2_000_000, 3), (2_000_000, 7)], sightings) == [1, 3, 3]


def test_what_was_seen_before_its_answer_has_no_lag() -> None:
    assert lags_ms([(9_000_000, 1)], [(1_000_000, 2)]) == [0]
