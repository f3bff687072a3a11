"""The connections of `nexus.connect` for asyncio, and a pool of them.

    async with nexus.aio.Pool("nexus://a,b,c", size=8) as pool:
        async with pool.connection() as connection:
            await connection.execute("insert into t values (?)", (1,))

Each connection works in a thread of its own, so that all is as in `nexus.Connection`:
parameters, rows, transactions, errors. A task that is cancelled interrupts the
statement that it waits for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeVar

from nexus.client import connecting
from nexus.client.connection import Connection as BlockingConnection
from nexus.client.cursor import Cursor as BlockingCursor
from nexus.client.exceptions import InterfaceError
from nexus.model.position import Position

__all__ = ["Connection", "Cursor", "Pool", "connect"]

ROWS_AT_ONCE: Final = 256
"""Rows that an iteration takes from its thread in one go."""

Found = TypeVar("Found")


async def connect(target: str, **arguments: Any) -> "Connection":
    """As `nexus.connect`, with its arguments."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="nexus-connection")
    loop = asyncio.get_running_loop()
    arguments["check_same_thread"] = False  # closing may come from another one
    try:
        made = await loop.run_in_executor(
            thread, lambda: connecting.connect(target, **arguments)
        )
    except BaseException:
        thread.shutdown(wait=False)
        raise
    return Connection(made, thread)


class Connection:
    """As `nexus.Connection`; calls of several tasks are done one after another."""

    def __init__(
        self, connection: BlockingConnection, thread: ThreadPoolExecutor
    ) -> None:
        self._connection = connection
        self._thread = thread

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

    def interrupt(self) -> None:
        """End the statement that runs, with an error for who waits for it."""
        self._connection.interrupt()

    async def close(self) -> None:
        """Take back what is not committed; the thread ends."""
        try:
            await self.call(self._connection.close)
        finally:
            self._thread.shutdown(wait=False)

    async def call(self, work: Callable[[], Found]) -> Found:
        """Do this in the connection's thread, behind what is done there already."""
        try:
            doing = self._thread.submit(work)
        except RuntimeError:
            raise InterfaceError("this connection is closed; make a new one") from None
        awaited = asyncio.wrap_future(doing)
        try:
            return await asyncio.shield(awaited)
        except asyncio.CancelledError:
            # Not left running behind the back of who uses the connection next.
            if not doing.cancel():
                self._connection.interrupt()
                await asyncio.wait([awaited])
            raise

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
        await self.connection.call(lambda: self._cursor.execute(sql, parameters))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> Self:
        """Run one statement for each set of parameters."""
        await self.connection.call(lambda: self._cursor.executemany(sql, parameters))
        return self

    async def executescript(self, script: str) -> Self:
        """Run all statements of a script."""
        await self.connection.call(lambda: self._cursor.executescript(script))
        return self

    async def fetchone(self) -> Any:
        """The next row, or None."""
        return await self.connection.call(self._cursor.fetchone)

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows, `arraysize` of them unless told otherwise."""
        return await self.connection.call(lambda: self._cursor.fetchmany(size))

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


class Pool:
    """Connections that tasks borrow; made when they are needed, kept for the next."""

    def __init__(self, target: str, *, size: int = 8, **arguments: Any) -> None:
        """At most `size` of them; the arguments are those of `connect`."""
        self._target = target
        self._arguments = arguments
        self._turns = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow one; commits at the end, or takes back after an error."""
        async with self._turns:
            if self._closed:
                raise InterfaceError("this pool is closed; make a new one")
            if self._idle:
                borrowed = self._idle.pop()
            else:
                borrowed = await connect(self._target, **self._arguments)
            try:
                async with borrowed:
                    yield borrowed
            except BaseException:
                await self._give_back(borrowed, rolled_back=False)
                raise
            await self._give_back(borrowed, rolled_back=True)

    async def close(self) -> None:
        """Close those that are idle; those that are lent close on their return."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.close()

    async def _give_back(self, connection: Connection, *, rolled_back: bool) -> None:
        if self._closed or (not rolled_back and connection.in_transaction):
            await connection.close()
        else:
            self._idle.append(connection)
