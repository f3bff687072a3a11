"""The last replica counts."""

from nexus.cli.bench.bulk import percent_more


def test_the_slowest_replica_decides() -> None:
    seen = [[(100, 1), (205, 9)], [(100, 1), (220, 9)]]

    assert percent_more(seen, begun=0, ended=200) == 10


def test_a_replica_that_was_there_already_takes_no_more_time() -> None:
    assert percent_more([[(190, 9)]], begun=0, ended=200) == 0
