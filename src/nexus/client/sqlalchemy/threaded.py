"""A connection for asyncio: the blocking one, in a thread of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from nexus.client.connection import Connection
from nexus.client.cursor import Cursor

T = TypeVar("T")


class ThreadedConnection:
    """What SQLAlchemy's adapter asks of an asyncio driver's connection."""

    def __init__(self, executor: ThreadPoolExecutor, connection: Connection) -> None:
        self.blocking = connection
        """For attributes; whatever may wait goes through `call`."""
        self._executor = executor

    @classmethod
    async def open(cls, connect: Callable[[], Connection]) -> Self:
        """Connect in the connection's thread; raises what `connect` raises."""
        executor = ThreadPoolExecutor(1, thread_name_prefix="nexus-connection")
        try:
            loop = asyncio.get_running_loop()
            return cls(executor, await loop.run_in_executor(executor, connect))
        except BaseException:
            executor.shutdown(wait=False)
            raise

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run this in the connection's thread, after all that runs there already."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, function, *arguments)

    def cursor(self) -> "ThreadedCursor":
        """A new cursor on this connection."""
        return ThreadedCursor(self)

    async def commit(self) -> None:
        """Commit the open transaction; durable on return."""
        await self.call(self.blocking.commit)

    async def rollback(self) -> None:
        """Take the open transaction back."""
        await self.call(self.blocking.rollback)

    async def close(self) -> None:
        """Take back what is not committed; harmless the second time."""
        try:
            await self.call(self.blocking.close)
        finally:
            self._executor.shutdown(wait=False)

    def abandon(self) -> None:
        """Close without waiting, from wherever there is no event loop."""
        with contextlib.suppress(RuntimeError):  # it is closed already
            self._executor.submit(self.blocking.close)
        self._executor.shutdown(wait=False)


class ThreadedCursor:
    """A cursor whose waiting is awaited."""

    def __init__(self, connection: ThreadedConnection) -> None:
        self._connection = connection
        self._cursor: Cursor = connection.blocking.cursor()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.close()

    @property
    def description(self) -> Any:
        """A 7-tuple for each column, of which only the name is known."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed; -1 where none can."""
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The rowid of the connection's last inserted row."""
        return self._cursor.lastrowid

    @property
    def arraysize(self) -> int:
        """How many rows `fetchmany` gives unless it is told."""
        return self._cursor.arraysize

    @arraysize.setter
    def arraysize(self, size: int) -> None:
        self._cursor.arraysize = size

    async def execute(self, sql: str, parameters: Any = ()) -> Self:
        """Run one statement."""
        await self._connection.call(self._cursor.execute, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Any) -> Self:
        """Run one statement for each set of parameters."""
        await self._connection.call(self._cursor.executemany, sql, parameters)
        return self

    async def fetchone(self) -> Any:
        """The next row, or None."""
        return await self._connection.call(self._cursor.fetchone)

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        return await self._connection.call(self._cursor.fetchmany, size)

    async def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return await self._connection.call(self._cursor.fetchall)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (row := await self.fetchone()) is not None:
            yield row

    async def close(self) -> None:
        """Forget the rows."""
        await self._connection.call(self._cursor.close)
