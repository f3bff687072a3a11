"""The connections of `nexus.connect` for asyncio, and a pool of them.

    async with nexus.aio.Pool("nexus://a,b,c", size=8) as pool:
        async with pool.connection() as connection:
            await connection.execute("insert into t values (?)", (1,))

Each connection works in a thread of its own, so that all is as in `nexus.Connection`:
parameters, rows, transactions, errors. A task that is cancelled interrupts the
statement that it waits for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self

from nexus.client import changes as feeds
from nexus.client import connecting
from nexus.client.awaited import Connection, Cursor
from nexus.client.awaited_changes import Changes
from nexus.client.exceptions import InterfaceError

__all__ = ["Changes", "Connection", "Cursor", "Pool", "changes", "connect"]


async def connect(target: str, **arguments: Any) -> Connection:
    """As `nexus.connect`, with its arguments."""
    arguments["check_same_thread"] = False  # closing may come from another one
    return await Connection.open(partial(connecting.connect, target, **arguments))


def changes(urls: str | list[str], **wanted: Any) -> Changes:
    """As `nexus.changes`, with its options, for `async for`."""

    async def opened() -> feeds.Changes:
        return feeds.changes(urls, **wanted)

    return Changes(opened)


class Pool:
    """Connections that tasks borrow; made when they are needed, kept for the next."""

    def __init__(self, target: str, *, size: int = 8, **arguments: Any) -> None:
        """At most `size` of them; the arguments are those of `connect`."""
        if size < 1:
            raise ValueError(f"a pool of {size} lends nothing; size is 1 at least")
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
            finally:
                await self._give_back(borrowed)

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

    async def _give_back(self, connection: Connection) -> None:
        if self._closed or _is_left_open(connection):
            await connection.close()
        else:
            self._idle.append(connection)


def _is_left_open(connection: Connection) -> bool:
    """Whether the next borrower would go on with this one's transaction.

    With `autocommit=False` one is always open: what was in it has ended with the block.
    """
    return connection.in_transaction and connection.blocking.autocommit is not False
