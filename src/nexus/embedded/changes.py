"""The change feed of a node in this process, for threads of its application."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, Final, Protocol

from nexus.client.changes import Wanted
from nexus.model.change import Change, Place
from nexus.model.position import Offset, Position
from nexus.node.changes import NO_LIMIT, ChangeStream, Wish, Write

ASSUMED_BYTES: Final = b"\0" * 256
"""What a change counts for where none is written: a thousand of them are a piece."""


class FeedHost(Protocol):
    """What a feed needs of its node."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where its coroutines run."""

    async def changes(self, wish: Wish, write: Write, /) -> ChangeStream:
        """What it has applied and applies."""


def follow(host: FeedHost, wanted: Wanted) -> Iterator[Change]:
    """The changes that are wanted; waits for what comes, so not on the node's loop.

    Raises what the node raises, NodeStoppedError too when it stops.
    """
    found: list[Change] = []

    def keep(change: Change) -> bytes:
        found.append(change)
        return ASSUMED_BYTES

    stream = _wait(host, host.changes(_wish(wanted), keep))
    while _wait(host, stream.read()) is not None:
        yield from (change for change in found if change.op != "heartbeat")
        found.clear()


def _wait(host: FeedHost, work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(work, host.loop).result()


def _wish(wanted: Wanted) -> Wish:
    since = wanted.since
    if isinstance(since, Position):
        since = Place(since)
    elif since is not None and not isinstance(since, Place):
        since = Place.parse(str(since))
    return Wish(
        since=since,
        tables=frozenset(table.lower() for table in wanted.tables),
        until=None if wanted.until is None else Offset(wanted.until),
        limit=NO_LIMIT if wanted.limit is None else wanted.limit,
        follow=wanted.follow,
        heartbeat_s=wanted.heartbeat_s,
    )
