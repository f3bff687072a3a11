"""Rows on their way to one client, piece by piece, as fast as it takes them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from nexus.errors import TransactionExpiredError
from nexus.node.clients.pending import Pending
from nexus.node.reading.pieces import Reading, Room, answered, next_of, pieces
from nexus.protocol.calls import Done, Execute
from nexus.storage.capturing.results import StatementResult

MOST_READINGS: Final = 4
"""Queries of one client that run at once, each with a piece of rows in memory."""

Piece = tuple[bytes, bool]
"""Frames, and whether there are more."""


class ReaderHost(Protocol):
    """What queries need of their node."""

    @property
    def rest_limit_s(self) -> float:
        """How long rows wait to be asked for."""

    async def on_reader(self, call: Callable[[], Any]) -> Any:
        """Call it on a thread for queries."""

    def close_soon(self, reading: Reading) -> None:
        """Close it on a thread for queries."""

    def rests(self, pending: Pending) -> None:
        """It keeps a reader while its rows wait to be asked for."""

    def goes_on(self, pending: Pending) -> None:
        """Its rows wait no more."""


class Delivery:
    """Sends what queries give; belongs to one event loop."""

    def __init__(self, host: ReaderHost, send: Callable[[bytes], None]) -> None:
        self._host = host
        self._send = send
        self._readings = asyncio.Semaphore(MOST_READINGS)
        self.writable = asyncio.Event()
        """Set while the client reads fast enough."""
        self.writable.set()

    async def of_reading(self, pending: Pending, reading: Reading) -> None:
        """Send the rows of queries, read as they are asked for."""
        cancel = pending.cancel

        async def next_piece(most_rows: int) -> Piece:
            self._host.goes_on(pending)
            async with self._readings:
                await self.writable.wait()
                pending.cancel = reading.cancel
                call = self._host.on_reader(lambda: reading.next_piece(most_rows))
                piece: Piece = await call
                pending.cancel = cancel
                if piece[1]:
                    self._host.rests(pending)
                return piece

        try:
            await self._deliver(pending, next_piece)
        except BaseException:
            self._host.goes_on(pending)
            reading.cancel()
            self._host.close_soon(reading)
            raise

    async def of_results(
        self, pending: Pending, results: Sequence[StatementResult], done: Done
    ) -> None:
        """Send the rows of a transaction's statements, which are there already."""
        room = Room()
        found = pieces(pending.request.request_id, answered(results), room, done)

        async def next_piece(most_rows: int) -> Piece:
            await self.writable.wait()
            return next_of(found, room, most_rows)

        await self._deliver(pending, next_piece)

    async def _deliver(
        self, pending: Pending, next_piece: Callable[[int], Awaitable[Piece]]
    ) -> None:
        """Send piece after piece, each when the client has asked for it."""
        asked: Execute = pending.request
        limit_s = self._host.rest_limit_s
        most_rows = asked.fetch_rows
        while True:
            frames, more = await next_piece(most_rows)
            if not more:
                self._send(frames)
                return
            pending.fetched = asyncio.get_running_loop().create_future()
            self._send(frames)
            try:
                async with asyncio.timeout(limit_s):
                    most_rows = await pending.fetched
            except TimeoutError:
                raise TransactionExpiredError(
                    f"the rows that were left were not asked for within {limit_s:g} s "
                    "and are dropped; read them anew"
                ) from None
