"""Numbers that cost next to nothing."""

import math

from hypothesis import given
from hypothesis import strategies as st

from nexus.node.measures import Histogram, Measures

values = st.lists(st.floats(min_value=0, max_value=20, allow_nan=False))


@given(values)
def test_a_bucket_holds_what_is_not_above_its_bound(observed: list[float]) -> None:
    histogram = Histogram((0.5, 1, 10))

    for value in observed:
        histogram.observe(value)

    assert histogram.cumulative() == [
        ("0.5", sum(value <= 0.5 for value in observed)),
        ("1", sum(value <= 1 for value in observed)),
        ("10", sum(value <= 10 for value in observed)),
        ("+Inf", len(observed)),
    ]
    assert math.isclose(histogram.total, sum(observed), abs_tol=1e-9)


def test_a_value_can_be_observed_many_times_at_once() -> None:
    histogram = Histogram((1,))

    histogram.observe(0.25, 8)

    assert histogram.cumulative() == [("1", 8), ("+Inf", 8)]
    assert histogram.total == 2.0


def test_answers_are_counted_by_the_class_of_their_status() -> None:
    measures = Measures()

    for status in (200, 204, 404, 503):
        measures.answered(status)

    assert measures.http == {"2xx": 2, "4xx": 1, "5xx": 1}
