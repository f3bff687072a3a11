"""No more than a rate is used, whatever comes and whenever."""

from hypothesis import given
from hypothesis import strategies as st

from nexus.replication.timing.throttle import BURST_S, Throttle

RATE = 100_000


@given(st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 2_000)), max_size=50))
def test_over_any_time_no_more_is_used_than_the_rate_and_one_burst(
    uses: list[tuple[int, int]],
) -> None:
    throttle, now_ms, total = Throttle(RATE), 0, 0

    for size, idle_ms in uses:
        now_ms += idle_ms + throttle.take(size, now_ms + idle_ms)
        total += size
        assert total <= RATE * (BURST_S + now_ms / 1_000) + 1


def test_who_uses_less_than_the_rate_never_waits() -> None:
    throttle = Throttle(RATE)

    assert [throttle.take(RATE // 10, at_ms) for at_ms in range(0, 5_000, 100)] == [
        0
    ] * 50


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    throttle = Throttle(RATE)
    throttle.take(RATE // 4, 1_000)

    assert throttle.take(RATE, 1_000) == 1_001
    assert throttle.take(0, 0) == 1_001
