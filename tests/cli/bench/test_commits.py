"""Two rates are compared pair by pair."""

from nexus.cli.bench.commits import compared


def test_the_figures_stand_beside_the_ratio() -> None:
    measured = compared([(4_000, 1_000), (9_000, 3_000), (2_000, 1_000)])

    assert measured.value == 3
    assert measured.detail == "4,000/s, plain SQLite 1,000/s"
