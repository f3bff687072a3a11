"""A client of the port that says just what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from nexus.model.position import Offset
from nexus.node.network.connection import Connection
from nexus.node.node import Node
from nexus.protocol.calls import (
    Attach,
    Attached,
    Begin,
    Commit,
    Done,
    Execute,
    Failed,
    Query,
    Rollback,
    Rows,
)
from nexus.protocol.messages import Message
from node.builders import PATIENCE_S, address_of

ATTACH = Attach(1, 1, "test")

Kind = TypeVar("Kind")


class Client:
    """One connection that is attached, unless the test wants to do that itself."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._heard: list[Message] = []

    async def next(self) -> Message | None:
        """The next message; None once the node has closed."""
        if not self._heard:
            async with asyncio.timeout(PATIENCE_S):
                self._heard = await self.connection.receive()
        return self._heard.pop(0) if self._heard else None

    async def expect(self, kind: type[Kind]) -> Kind:
        """The next message, of this kind."""
        message = await self.next()
        assert isinstance(message, kind), message
        return message

    def say(self, *messages: Message) -> None:
        """Send these in one go."""
        for message in messages:
            self.connection.send(message)

    def ask(self, request_id: int, sql: str, *params: Any, **fields: Any) -> None:
        """Have one statement executed."""
        query = Query(sql, list(params))
        self.say(Execute(request_id, (query,), **fields))

    async def done(
        self, request_id: int, sql: str, *params: Any, **fields: Any
    ) -> Done:
        """Have a statement executed that gives no rows."""
        self.ask(request_id, sql, *params, **fields)
        done = await self.expect(Done)
        assert done.request_id == request_id
        return done

    async def rows(self, request_id: int, sql: str, *params: Any, **fields: Any) -> Any:
        """The rows of a query of one piece."""
        self.ask(request_id, sql, *params, **fields)
        rows = await self.expect(Rows)
        assert not rows.more
        await self.expect(Done)
        return [tuple(row) for row in rows.rows]

    async def failed(self, request_id: int, sql: str, **fields: Any) -> Failed:
        """The error of a statement."""
        self.ask(request_id, sql, **fields)
        return await self.expect(Failed)

    async def begin(self, request_id: int, **fields: Any) -> None:
        """Hold the writer."""
        self.say(Begin(request_id, **fields))
        assert (await self.expect(Done)).request_id == request_id

    async def commit(self, request_id: int, within: int) -> Done:
        """Commit the transaction."""
        self.say(Commit(request_id, within))
        return await self.expect(Done)

    async def roll_back(self, request_id: int, within: int) -> None:
        """Take the transaction back."""
        self.say(Rollback(request_id, within))
        await self.expect(Done)


@asynccontextmanager
async def connected(node: Node) -> AsyncIterator[Client]:
    """A connection on which nothing is said yet."""
    connection = await Connection.open(address_of(node), timeout_s=PATIENCE_S)
    connection.handshake_done()
    try:
        yield Client(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def attached(node: Node) -> AsyncIterator[Client]:
    """A client that the node has taken."""
    async with connected(node) as client:
        client.say(ATTACH)
        await client.expect(Attached)
        yield client


def after(done: Done) -> dict[str, Offset]:
    """What a query says that must see this write."""
    return {"min_offset": done.offset}
