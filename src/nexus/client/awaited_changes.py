"""The change feed for asyncio: a blocking one, in a thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Self

from typing_extensions import override

from nexus.client.changes import Feed
from nexus.model.change import Change

AHEAD: Final = 256
"""Changes that the thread reads before they are asked for."""


class Changes(AsyncIterator[Change]):
    """Changes as they come; for one task at a time.

    A task that is cancelled while it waits loses none: whoever asks again is given it.
    `aclose`, or the end of `async with`, ends the thread; so does letting go of it.
    """

    def __init__(self, open_feed: Callable[[], Awaitable[Feed]]) -> None:
        self._open = open_feed
        self._reader: _Reader | None = None
        self._is_over = False

    @override
    async def __anext__(self) -> Change:
        if self._is_over:
            raise StopAsyncIteration
        if self._reader is None:
            self._reader = _Reader(await self._open(), asyncio.get_running_loop())
            self._reader.start()
        found = await self._reader.take()
        if isinstance(found, Change):
            return found
        self._is_over = True
        raise found

    async def aclose(self) -> None:
        """Read no more."""
        self._is_over = True
        if self._reader is not None:
            self._reader.stop()
            await self._reader.ended.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._reader is not None:
            self._reader.stop()


class _Reader(threading.Thread):
    """Reads a feed for a loop; a daemon, since the feed may be silent for ever."""

    def __init__(self, feed: Feed, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="nexus-changes", daemon=True)
        self.ended = asyncio.Event()
        self._feed = feed
        self._loop = loop
        self._room = threading.Semaphore(AHEAD)
        self._stopped = False
        self._found: asyncio.Queue[Change | Exception] = asyncio.Queue()

    @override
    def run(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            end = self._read()
            self._loop.call_soon_threadsafe(self._found.put_nowait, end)
            self._loop.call_soon_threadsafe(self.ended.set)

    async def take(self) -> Change | Exception:
        """The next change, or what has ended the feed."""
        found = await self._found.get()
        self._room.release()
        return found

    def stop(self) -> None:
        """From any thread."""
        self._stopped = True
        self._feed.stop()
        self._room.release()

    def _read(self) -> Exception:
        """Read all; returns what has ended it."""
        try:
            for change in self._feed:
                self._room.acquire()
                if self._stopped:
                    next(self._feed, None)
                    break
                self._loop.call_soon_threadsafe(self._found.put_nowait, change)
        except Exception as error:  # noqa: BLE001 - told to whoever asks next
            return error
        return StopAsyncIteration()
