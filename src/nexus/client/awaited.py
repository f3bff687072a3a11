"""A connection for asyncio: a blocking one, in a thread of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Self, TypeVar

from nexus.client.awaited_changes import Changes
from nexus.client.connection import Connection as BlockingConnection
from nexus.client.cursor import Cursor as BlockingCursor
from nexus.client.exceptions import InterfaceError, ProgrammingError
from nexus.model.position import Position

INTERRUPT_EVERY_S: Final = 0.05
"""What was cancelled may have been between two steps that can be interrupted."""

ROWS_AT_ONCE: Final = 256
"""Rows that an iteration takes from its thread in one go."""

Found = TypeVar("Found")


class Connection:
    """As `nexus.Connection`; calls of several tasks are done one after another."""

    def __init__(
        self, connection: BlockingConnection, thread: ThreadPoolExecutor
    ) -> None:
        self._connection = connection
        self._thread = thread
        self._is_closed = False

    @classmethod
    async def open(cls, connect: Callable[[], BlockingConnection]) -> Self:
        """What `connect` makes, in a thread of its own; raises what it raises.

        Any thread must be allowed to close it: `check_same_thread=False`.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="nexus-connection")
        making = thread.submit(connect)
        try:
            return cls(await asyncio.wrap_future(making), thread)
        except BaseException:
            making.add_done_callback(_close_unwanted)
            thread.shutdown(wait=False)
            raise

    @property
    def blocking(self) -> BlockingConnection:
        """The connection itself: for its attributes, such as `row_factory`."""
        return self._connection

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    @property
    def last_position(self) -> Position | None:
        """Where the last committed write stands in the log."""
        return self._connection.last_position

    def cursor(self) -> "Cursor":
        """A cursor on this connection."""
        return Cursor(self, self._connection.cursor())

    async def execute(self, sql: str, parameters: Any = ()) -> "Cursor":
        """Run one statement on a new cursor."""
        return await self.cursor().execute(sql, parameters)

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> "Cursor":
        """Run one statement for each set of parameters."""
        return await self.cursor().executemany(sql, parameters)

    async def executescript(self, script: str) -> "Cursor":
        """Run all statements of a script."""
        return await self.cursor().executescript(script)

    async def commit(self) -> None:
        """Commit the open transaction; durable on return."""
        await self.call(self._connection.commit)

    async def rollback(self) -> None:
        """Take the open transaction back."""
        await self.call(self._connection.rollback)

    def changes(self, **wanted: Any) -> Changes:
        """Every committed change, live, for `async for`: as `nexus.Connection.changes`.

        It has a thread of its own, and statements go on beside it.
        """
        return Changes(partial(self.call, partial(self._connection.changes, **wanted)))

    def interrupt(self) -> None:
        """End the statement that runs, with an error for who waits for it."""
        self._connection.interrupt()

    async def close(self) -> None:
        """Take back what is not committed, and end the thread; harmless twice."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self.call(self._connection.close)
        finally:
            self._thread.shutdown(wait=False)

    def abandon(self) -> None:
        """Close without waiting, from wherever there is no event loop."""
        self._is_closed = True
        with contextlib.suppress(RuntimeError):  # it is closed already
            self._thread.submit(self._connection.close)
        self._thread.shutdown(wait=False)

    async def call(self, work: Callable[..., Found], *arguments: Any) -> Found:
        """Do this in the connection's thread, behind what is done there already."""
        try:
            doing = self._thread.submit(work, *arguments)
        except RuntimeError:
            raise InterfaceError("this connection is closed; make a new one") from None
        awaited = asyncio.wrap_future(doing)
        try:
            return await asyncio.shield(awaited)
        except asyncio.CancelledError:
            # Not left running behind the back of who uses the connection next.
            if not doing.cancel():
                await self._ended(awaited)
                awaited.exception()  # it is known: nobody need be told of it
            raise

    async def _ended(self, awaited: "asyncio.Future[Any]") -> None:
        """Have it end, however often who waits for it is cancelled."""
        while not awaited.done():
            with contextlib.suppress(ProgrammingError):  # it is being closed
                self._connection.interrupt()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([awaited], timeout=INTERRUPT_EVERY_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Commit, or take back after an error; as in sqlite3 it stays open."""
        await (self.commit() if kind is None else self.rollback())


class Cursor:
    """As `nexus.Cursor`."""

    def __init__(self, connection: Connection, cursor: BlockingCursor) -> None:
        self.connection = connection
        self._cursor = cursor

    @property
    def description(self) -> Any:
        """The columns of the last query."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """Rows that the last statement changed; -1 for a query."""
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        """Of the last row that was inserted."""
        return self._cursor.lastrowid

    @property
    def arraysize(self) -> int:
        """How many rows `fetchmany` gives."""
        return self._cursor.arraysize

    @arraysize.setter
    def arraysize(self, size: int) -> None:
        self._cursor.arraysize = size

    async def execute(self, sql: str, parameters: Any = ()) -> Self:
        """Run one statement."""
        await self.connection.call(self._cursor.execute, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> Self:
        """Run one statement for each set of parameters."""
        await self.connection.call(self._cursor.executemany, sql, parameters)
        return self

    async def executescript(self, script: str) -> Self:
        """Run all statements of a script."""
        await self.connection.call(self._cursor.executescript, script)
        return self

    async def fetchone(self) -> Any:
        """The next row, or None."""
        return await self.connection.call(self._cursor.fetchone)

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows, `arraysize` of them unless told otherwise."""
        return await self.connection.call(self._cursor.fetchmany, size)

    async def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return await self.connection.call(self._cursor.fetchall)

    async def close(self) -> None:
        """Let go of the rows."""
        await self.connection.call(self._cursor.close)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while rows := await self.fetchmany(ROWS_AT_ONCE):
            for row in rows:
                yield row

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.close()


def _close_unwanted(making: Future[BlockingConnection]) -> None:
    """Of a task that was cancelled while it connected."""
    if not making.cancelled() and making.exception() is None:
        making.result().close()
