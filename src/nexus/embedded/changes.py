"""The change feed of a node in this process, for threads of its application."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Final, Protocol

from typing_extensions import override

from nexus.client.changes import Wanted
from nexus.model.change import Change, Place
from nexus.model.names import folded
from nexus.model.position import Offset, Position
from nexus.node.reading.changes import NO_LIMIT, ChangeStream, Wish, Write

ASSUMED_BYTES: Final = b"\0" * 256
"""What a change counts for where none is written: a thousand of them are a piece."""


class FeedHost(Protocol):
    """What a feed needs of its node."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where its coroutines run."""

    async def changes(self, wish: Wish, write: Write, /) -> ChangeStream:
        """What it has applied and applies."""


class Following(Iterator[Change]):
    """The changes that are wanted; waits for what comes, so not on the node's loop.

    Raises what the node raises, NodeStoppedError too when it stops.
    """

    def __init__(self, host: FeedHost, wanted: Wanted) -> None:
        self._host = host
        self._stopped = threading.Event()
        self._waits: Future[Any] | None = None
        self._changes = self._follow(_wish(wanted))

    @override
    def __next__(self) -> Change:
        return next(self._changes)

    def stop(self) -> None:
        """End it, from any thread: whoever waits for a change is given none."""
        self._stopped.set()
        if self._waits is not None:
            self._waits.cancel()

    def _follow(self, wish: Wish) -> Generator[Change]:
        found: list[Change] = []

        def keep(change: Change) -> bytes:
            found.append(change)
            return ASSUMED_BYTES

        with contextlib.suppress(CancelledError):  # by `stop`
            stream = self._wait(self._host.changes(wish, keep))
            while self._wait(stream.read()) is not None:
                for change in found:
                    if change.op != "heartbeat" and not self._stopped.is_set():
                        yield change
                found.clear()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        self._waits = asyncio.run_coroutine_threadsafe(work, self._host.loop)
        if self._stopped.is_set():  # before there was anything to cancel
            self._waits.cancel()
        return self._waits.result()


def _wish(wanted: Wanted) -> Wish:
    since = wanted.since
    if isinstance(since, Position):
        since = Place(since)
    elif since is not None and not isinstance(since, Place):
        since = Place.parse(str(since))
    return Wish(
        since=since,
        tables=frozenset(map(folded, wanted.tables)),
        until=None if wanted.until is None else Offset(wanted.until),
        limit=NO_LIMIT if wanted.limit is None else wanted.limit,
        follow=wanted.follow,
        heartbeat_s=wanted.heartbeat_s,
    )
