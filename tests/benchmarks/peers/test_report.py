"""Ratios are taken round by round, and no figure stands without its proof."""

from dataclasses import replace

from peers.report import HEADINGS, Score, is_met, markdown, objections, ratio, rows
from peers.system import Evidence

PROVEN = Evidence((300, 300), (), "it says so")
FAST = Score("1.0", "sync", (900.0, 400.0, 1_000.0), 300, PROVEN)
SLOW = Score("15", "ANY 1", (300.0, 200.0, 500.0), 300, PROVEN)
SCORES = {"Nexus": FAST, "PostgreSQL": SLOW}


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert ratio((900, 400, 1_000), (300, 200, 500)) == 2


def test_twice_as_fast_is_fast_enough_and_less_is_not() -> None:
    slower = replace(FAST, rates=(899.0, 399.0, 999.0))

    assert is_met(SCORES, "PostgreSQL") is True
    assert is_met({**SCORES, "Nexus": slower}, "PostgreSQL") is False


def test_a_row_that_no_replica_shows_makes_the_figures_void() -> None:
    lost = replace(SLOW, evidence=replace(PROVEN, rows_on_replicas=(299, 0)))

    (objection,) = objections(lost)
    assert objection == "300 rows were acknowledged, the fuller replica shows 299"
    assert is_met({**SCORES, "PostgreSQL": lost}, "PostgreSQL") is None


def test_one_replica_that_has_every_row_is_enough() -> None:
    behind = replace(SLOW, evidence=replace(PROVEN, rows_on_replicas=(120, 300)))

    assert objections(behind) == ()


def test_a_doubt_about_ours_makes_every_verdict_void() -> None:
    doubtful = replace(FAST, evidence=replace(PROVEN, doubts=("not synced",)))

    shown = rows({**SCORES, "Nexus": doubtful})

    assert [row[1] for row in shown] == ["void", "300"]
    assert [row[5] for row in shown] == ["void", "void"]
    assert shown[0][-1] == "not synced"


def test_a_row_tells_rate_spread_ratio_and_proof() -> None:
    ours, theirs = rows(SCORES)

    assert ours[:6] == ("Nexus", "900", "400 to 1,000", "-", "-", "-")
    assert theirs[:6] == ("PostgreSQL", "300", "200 to 500", "2.00 x", "≥ 2 x", "yes")
    assert theirs[6] == (
        "it says so; of 300 acknowledged rows the replicas show 300 and 300"
    )


def test_the_page_has_the_table_the_settings_and_how_it_was_measured() -> None:
    page = markdown(SCORES, machine="2 cores", clients=64, commits=100)

    assert page.splitlines()[0] == f"| {' | '.join(HEADINGS)} |"
    assert "- *PostgreSQL*: 15; ANY 1." in page
    assert page.rstrip().endswith(
        "3 rounds in turns, 100 commits of 64 clients by each system in each; 2 cores."
    )
