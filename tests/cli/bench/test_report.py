"""The lines, their targets, and how they are shown."""

import pytest

from nexus.cli.bench.report import (
    FAMILIES,
    LINES,
    Line,
    Measured,
    document,
    is_met,
    markdown,
    median_ratio,
)


def line(name: str) -> Line:
    return next(each for each in LINES if each.id == name)


def test_ids_are_unique_and_alternatives_exist() -> None:
    ids = [each.id for each in LINES]

    assert len(set(ids)) == len(ids)
    assert {each.or_line for each in LINES} - {""} <= set(ids)
    assert FAMILIES[0] == "commits"


def test_the_median_of_the_pairs_is_not_the_ratio_of_the_medians() -> None:
    assert median_ratio([(10, 1), (4, 2), (90, 30)]) == 3


@pytest.mark.parametrize(("value", "met"), [(3.99, False), (4.0, True)])
def test_a_lower_bound_is_met_from_there_on(value: float, met: bool) -> None:  # noqa: FBT001
    assert is_met(line("commits-64"), {"commits-64": Measured(value, "")}) is met


@pytest.mark.parametrize(("value", "met"), [(50.0, True), (50.1, False)])
def test_an_upper_bound_is_met_up_to_there(value: float, met: bool) -> None:  # noqa: FBT001
    assert is_met(line("lag"), {"lag": Measured(value, "")}) is met


def test_of_two_alternatives_one_suffices() -> None:
    results = {
        "catchup-rows": Measured(100.0, ""),
        "catchup-entries": Measured(3.5, ""),
    }

    assert is_met(line("catchup-rows"), results) is True


def test_what_could_not_be_measured_is_neither_met_nor_missed() -> None:
    results = {"http": Measured(None, "wrk is missing")}

    assert is_met(line("http"), results) is None
    assert "| not measured | wrk is missing |" in markdown(results, quick=True)
    assert document(results, quick=True)["lines"][0]["met"] is None


def test_markdown_shows_measured_and_wanted() -> None:
    shown = markdown({"commits-64": Measured(4.25, "figures")}, quick=False)

    row = "| commits, 64 clients, 2 replicas | 4.25 x plain | ≥ 4 x plain | yes |"
    assert f"{row} figures |" in shown
    assert "Measured by `nexus bench` on" in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.44162, "0.442 x"),
        (16.04, "16 x"),
        (0.00054, "0.00054 x"),
        (9441.6, "9,442 x"),
    ],
)
def test_three_digits_say_enough_of_a_measured_value(value: float, shown: str) -> None:
    assert f"| {shown} plain |" in markdown(
        {"commits-64": Measured(value, "")}, quick=True
    )
