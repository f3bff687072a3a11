"""Numbers that cost next to nothing."""

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.node.telemetry.measures import FOLD, Histogram, Measures

values = st.lists(st.floats(min_value=0, max_value=20, allow_nan=False))


@given(values, st.integers(1, 7))
def test_a_bucket_holds_what_is_not_above_its_bound(
    observed: list[float], fold: int
) -> None:
    histogram = Histogram((0.5, 1, 10))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nexus.node.telemetry.measures.FOLD", fold)
        for value in observed:
            histogram.observe(value)
            histogram.settle()

    buckets, total = histogram.cumulative()
    assert buckets == [
        ("0.5", sum(value <= 0.5 for value in observed)),
        ("1", sum(value <= 1 for value in observed)),
        ("10", sum(value <= 10 for value in observed)),
        ("+Inf", len(observed)),
    ]
    assert math.isclose(total, sum(observed), abs_tol=1e-9)


def test_to_look_changes_nothing() -> None:
    histogram = Histogram((1,))
    histogram.observe(3)
    histogram.observe(0.25)

    assert histogram.cumulative() == ([("1", 1), ("+Inf", 2)], 3.25)
    assert histogram.cumulative() == ([("1", 1), ("+Inf", 2)], 3.25)


def test_what_waits_is_settled_piece_by_piece() -> None:
    measures = Measures()
    for _ in range(2 * FOLD + 1):
        measures.batch.observe(1)

    settled = [measures.settle() for _ in range(3)]

    assert settled == [True, True, False]
    assert measures.batch._seen == []
    assert measures.batch.cumulative()[1] == 2 * FOLD + 1


def test_nothing_is_lost_while_one_thread_observes_and_another_settles() -> None:
    histogram = Histogram((1,))
    done = threading.Event()

    def observe() -> None:
        for _ in range(20 * FOLD):
            histogram.observe(1)
        done.set()

    observer = threading.Thread(target=observe)
    observer.start()
    while not done.is_set():
        histogram.settle()
    observer.join()

    assert histogram.cumulative() == (
        [("1", 20 * FOLD), ("+Inf", 20 * FOLD)],
        20 * FOLD,
    )


def test_answers_are_counted_by_the_class_of_their_status() -> None:
    measures = Measures()

    for status in (200, 204, 404, 503):
        measures.answered(status)

    assert measures.http == {"2xx": 2, "4xx": 1, "5xx": 1}
