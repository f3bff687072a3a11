"""A session's feed as a connection's."""

from collections.abc import Iterator

import pytest
from typing_extensions import override

import nexus
from nexus.client.followed import FollowedChanges
from nexus.errors import NexusError, NotAppliedError
from nexus.model.change import Change

CHANGE = Change(op="insert", id="1:2@h", epoch=1, offset=2)


class FakeFeed(Iterator[Change]):
    """Gives a change, then an error, until it is stopped."""

    def __init__(self, *given: Change | NexusError) -> None:
        self.given = list(given)
        self.stopped = 0

    @override
    def __next__(self) -> Change:
        if self.stopped or not self.given:
            raise StopIteration
        given = self.given.pop(0)
        if isinstance(given, NexusError):
            raise given
        return given

    def stop(self) -> None:
        self.stopped += 1


def test_errors_are_a_connections() -> None:
    found = FollowedChanges(FakeFeed(CHANGE, NotAppliedError("behind")))

    assert next(found) is CHANGE
    with pytest.raises(nexus.OperationalError, match="behind"):
        next(found)


def test_a_block_ends_the_feed() -> None:
    feed = FakeFeed(CHANGE)
    with FollowedChanges(feed) as found:
        pass

    assert feed.stopped == 1
    assert list(found) == []
