"""A process knows that it is a child of fork()."""

from nexus.client.forks import forks, opened_before
from nexus.errors import ForkedError
from node.builders import in_a_child


def test_a_child_counts_one_fork_more_than_its_parent() -> None:
    before = forks.count

    def look() -> None:
        if forks.count == before + 1:
            raise opened_before()

    assert in_a_child(look) == ForkedError.__name__
    assert forks.count == before
