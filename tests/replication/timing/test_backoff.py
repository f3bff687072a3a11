from nexus.replication.timing.backoff import Backoff


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(first_ms=1_000, most_ms=60_000, random=lambda: 0.0)

    delays = [backoff.next_ms() for _ in range(8)]

    assert delays == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]


def test_chance_shortens_a_delay_by_a_quarter_at_most() -> None:
    backoff = Backoff(first_ms=1_000, most_ms=60_000, random=lambda: 1.0)

    assert [backoff.next_ms() for _ in range(3)] == [750, 1_500, 3_000]


def test_a_success_makes_the_next_delay_short_again() -> None:
    backoff = Backoff(first_ms=1_000, most_ms=60_000, random=lambda: 0.0)
    backoff.next_ms()
    backoff.next_ms()

    backoff.reset()

    assert backoff.next_ms() == 1_000
