"""The change feed: what this node has applied, for consumers that read on and on."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from nexus.errors import LogGapError, NodeStoppedError, NotAppliedError
from nexus.model.change import Change, Place
from nexus.model.position import EpochHistory, Offset
from nexus.node.lasting import LastingExecutor
from nexus.node.reading.waiters import OffsetWaiters
from nexus.replication.resumption import require_known, require_retained
from nexus.storage.database import Database
from nexus.storage.feed.cursor import FeedCursor
from nexus.storage.feed.reader import EntryReader
from nexus.storage.wal import WriteAheadLog

THREADS: Final = 2
"""Consumers share them: a bulk read of the log leaves the others their turn."""

PATIENCE_S: Final = 2.0
"""How long a node that is behind a consumer's place may take to come up to it."""

BEATS_IN_TROUBLE: Final = 2
"""So many in a row are given by a node that hears nothing new, a replica without its
master: its consumers then hear that others may know more."""

NO_LIMIT: Final = 1 << 62

Result = TypeVar("Result")

Write = Callable[[Change], bytes]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer wants to read."""

    since: Place | None = None
    """Behind which change to begin; None: behind what is applied now."""
    tables: frozenset[str] = frozenset()
    """Whose rows, by folded names; empty: all."""
    until: Offset | None = None
    """The last entry wanted."""
    limit: int = NO_LIMIT
    """Changes wanted at most."""
    follow: bool = True
    """Wait for what comes; else end with what is applied now."""
    heartbeat_s: float = 10.0
    """After so long without a change the consumer hears how far it is."""


class Source(Protocol):
    """The node, as far as its feed asks it."""

    def history(self) -> EpochHistory:
        """Every reign of its log."""

    def ready(self, max_lag: int | None) -> tuple[bool, str]:
        """Whether it can serve; where not, why."""


class ChangeFeed:
    """Opens streams of changes; belongs to one event loop."""

    def __init__(
        self, database: Database, log: WriteAheadLog, waiters: OffsetWaiters
    ) -> None:
        self._database = database
        self._log = log
        self._waiters = waiters
        self._threads = LastingExecutor(THREADS, thread_name_prefix="nexus-changes")
        self._closed = False

    def close(self) -> None:
        """Wait for what is being read, and read no more; blocks."""
        self._closed = True
        self._threads.shutdown()

    async def open(self, wish: Wish, write: Write, source: Source) -> "ChangeStream":
        """A stream of what `write` makes of each change.

        Raises NoDatabaseError, NotAppliedError, PositionLostError, ChangesGoneError.
        """
        self._database.require()
        if wish.since is None:
            place = Place(source.history().position_at(self.applied))
        else:
            place = wish.since
            # Nodes differ by moments: a consumer that comes from another may be ahead.
            await self.wait(place.position.offset, PATIENCE_S)
        stream = ChangeStream(self, wish, write, source)
        await stream.begin(place)
        return stream

    async def cursor(
        self, place: Place, history: EpochHistory, tables: frozenset[str]
    ) -> FeedCursor:
        """Where a consumer reads on; raises why it cannot."""
        return await self._in_thread(self._cursor, place, history, tables)

    async def read(
        self, cursor: FeedCursor, stop: Offset, write: Write, most: int
    ) -> tuple[bytes, int]:
        """Read on there."""
        return await self._in_thread(cursor.read, stop, write, most)

    def _cursor(
        self, place: Place, history: EpochHistory, tables: frozenset[str]
    ) -> FeedCursor:
        require_known(history, place, self.applied)
        known = Offset(self._database.columns_known_since() + 1)
        require_retained(place, max(self._log.first_offset, known))
        position = history.position_at(place.position.offset)
        reign = history.reign_at(place.next_offset)
        history_id = reign.history_id if reign else position.history_id
        return FeedCursor(
            self._log,
            EntryReader(self._database, history_id, tables),
            Place(position, place.index),
        )

    @property
    def applied(self) -> Offset:
        """The last entry that consumers may read."""
        return self._database.position.offset

    async def wait(self, offset: Offset, timeout_s: float) -> bool:
        """Whether the entry is applied, now or before the time is up."""
        try:
            await self._waiters.wait(offset, timeout_s=timeout_s)
        except TimeoutError:
            return False
        return True

    async def _in_thread(self, call: Callable[..., Result], *arguments: Any) -> Result:
        if self._closed:
            raise NodeStoppedError("this node is stopping; read on at another one")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, call, *arguments)


class ChangeStream:
    """What one consumer reads, piece by piece."""

    def __init__(
        self, feed: ChangeFeed, wish: Wish, write: Write, source: Source
    ) -> None:
        self._feed = feed
        self._wish = wish
        self._write = write
        self._source = source
        self._beats_in_trouble = 0
        self._cursor: FeedCursor
        self._left = wish.limit
        self._until = NO_LIMIT if wish.until is None else wish.until
        if not wish.follow:
            self._until = min(self._until, feed.applied)
        self._heard_at = -wish.heartbeat_s

    @property
    def at(self) -> Place:
        """Behind what was read last."""
        return Place.parse(self._cursor.at)

    async def begin(self, place: Place) -> None:
        """Read on from there; raises why that cannot be."""
        history, tables = self._source.history(), self._wish.tables
        self._cursor = await self._feed.cursor(place, history, tables)

    async def read(self) -> bytes | None:
        """The next piece, changes or a heartbeat; None when all was read.

        Raises as `ChangeFeed.open` does, where the consumer has become too slow, what
        it has read was taken back, or the node has lost its master.
        """
        while self._left > 0 and self._cursor.next_offset <= self._until:
            if self._cursor.next_offset > self._feed.applied + 1:
                await self.begin(self.at)  # what was read has been taken back
            if self._cursor.next_offset <= self._feed.applied:
                piece = await self._read_on()
                if piece:
                    self._heard_at = _now_s()
                    return piece
            silent_for_s = _now_s() - self._heard_at
            if self._wish.follow and silent_for_s >= self._wish.heartbeat_s:
                self._heard_at = _now_s()
                return self._heartbeat()
            left_s = max(self._wish.heartbeat_s - silent_for_s, 0.0)
            await self._feed.wait(self._cursor.next_offset, left_s)
        return None

    async def _read_on(self) -> bytes:
        stop = Offset(min(self._feed.applied, self._until) + 1)
        try:
            piece, count = await self._feed.read(
                self._cursor, stop, self._write, self._left
            )
        except LogGapError:
            await self.begin(self.at)  # or it says why not
            return b""
        self._left -= count
        return piece

    def _heartbeat(self) -> bytes:
        is_ready, reason = self._source.ready(None)
        self._beats_in_trouble = 0 if is_ready else self._beats_in_trouble + 1
        if self._beats_in_trouble > BEATS_IN_TROUBLE:
            raise NotAppliedError(
                f"{reason}, so other nodes may have applied more than entry "
                f"{self._feed.applied}; ask another node, or this one again later"
            )
        position = self.at.position
        return self._write(
            Change(
                op="heartbeat",
                id=self._cursor.at,
                epoch=position.epoch,
                offset=position.offset,
            )
        )


def _now_s() -> float:
    return asyncio.get_running_loop().time()
