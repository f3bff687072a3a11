"""The change feed of a connection: a session's, with a connection's errors."""

from collections.abc import Iterator
from typing import Self

from typing_extensions import override

from nexus.client.changes import Feed
from nexus.client.exceptions import translated
from nexus.errors import NexusError
from nexus.model.change import Change


class FollowedChanges(Iterator[Change]):
    """Changes as they come; for one thread at a time but for `stop`."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    @override
    def __next__(self) -> Change:
        try:
            return next(self._feed)
        except NexusError as error:
            raise translated(error) from error

    def stop(self) -> None:
        """End it, from any thread: whoever waits for a change is given none."""
        self._feed.stop()

    def close(self) -> None:
        """Read no more, and let go of the node."""
        self.stop()
        next(self._feed, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()
