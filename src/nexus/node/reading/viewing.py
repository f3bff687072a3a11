"""Read views from an event loop, whose tasks may end at any moment."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Final, TypeVar

from typing_extensions import override

from nexus.errors import NodeStoppedError
from nexus.node.reading.views import View, Views
from nexus.storage.capturing.results import Statement, StatementResult

Result = TypeVar("Result")
Row = tuple[Any, ...]

NOTHING: Final = StatementResult((), [], 0, 0)


class Viewing:
    """Has threads do what blocks."""

    def __init__(self, views: Views, threads: Executor) -> None:
        self._views = views
        self._threads = threads

    async def open(self) -> View:
        """The database as it stands now; see `Views.open`."""
        opening = self._start(self._views.open)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._drop)
            raise

    def give_up(self, view: View) -> None:
        """End what it runs and close it; waits for nothing."""
        view.interrupt()
        with suppress(RuntimeError):  # at the stop all views are given up
            self._threads.submit(self._views.give_up, view)

    async def call(self, call: Callable[[], Result]) -> Result:
        """Call what blocks; raises NodeStoppedError at the stop."""
        return await self._start(call)

    def _start(self, call: Callable[[], Result]) -> asyncio.Future[Result]:
        try:
            return asyncio.get_running_loop().run_in_executor(self._threads, call)
        except RuntimeError:
            raise NodeStoppedError("this node is stopping; ask another one") from None

    def _drop(self, opening: asyncio.Future[View]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.give_up(opening.result())


class Rows:
    """The rows of an answer that is there already."""

    def __init__(self, result: StatementResult = NOTHING) -> None:
        self.result = result
        """The columns, and what was counted."""
        self._left = result.rows

    async def next_rows(self) -> list[Row]:
        """The next rows; none at the end. Raises NexusError."""
        rows, self._left = self._left, []
        return rows

    def close(self) -> None:
        """Read no more."""
        self._left = []


class ViewedRows(Rows):
    """The rows of a query that runs as fast as they are asked for."""

    def __init__(
        self, viewing: Viewing, view: View, closed: Callable[[], None]
    ) -> None:
        super().__init__()
        self._viewing = viewing
        self._view = view
        self._closed = closed

    async def begin(self, statement: Statement) -> None:
        """Run the query up to its first row."""
        columns = await self._viewing.call(lambda: self._view.open(statement))
        self.result = StatementResult.of_query(columns, [])

    @override
    async def next_rows(self) -> list[Row]:
        return await self._viewing.call(self._view.next_rows)

    @override
    def close(self) -> None:
        closed, self._closed = self._closed, _done
        closed()


def _done() -> None:
    """It is closed."""
