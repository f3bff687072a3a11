"""The rate of a catch-up begins with the first batch that comes."""

from nexus.cli.bench.catchup import rate


def test_what_stood_there_before_the_start_does_not_count() -> None:
    second = 1_000_000_000

    assert rate([(0, 100), (9 * second, 200), (10 * second, 1_200)]) == 1_000


def test_one_batch_alone_is_counted_with_its_wait() -> None:
    assert rate([(0, 100), (1_000_000_000, 600)]) == 500
