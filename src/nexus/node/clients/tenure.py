"""The interactive transaction of one client of the port, if it holds one.

What is asked of it is done in the order of asking, one after another.
"""

import asyncio
from typing import Any, Final, Protocol

from nexus.errors import RequestError, TransactionExpiredError
from nexus.model.position import Position
from nexus.node.transactions import TransactionManager
from nexus.node.writing.interactive import InteractiveTransaction
from nexus.node.writing.work import Interactive
from nexus.protocol.calls import Begin, Done, Query
from nexus.storage.capturing.results import Statement, StatementResult

MOST_BYTES_INSIDE: Final = 32 << 20
"""Of a query's rows in a transaction: they are read at once, beside the writer."""


class WriterHost(Protocol):
    """What a client's transaction needs of its node."""

    @property
    def idle_limit_s(self) -> float:
        """How long it may stay idle."""

    def writer(self) -> TransactionManager:
        """The manager of writes; raises why there is none here."""


class Tenure:
    """At most one transaction at a time; belongs to one event loop."""

    def __init__(self, host: WriterHost) -> None:
        self._host = host
        self._number = 0
        """The id of the Begin; 0: there is no transaction."""
        self._transaction: InteractiveTransaction | None = None
        self._turn = asyncio.Lock()

    def stands(self, number: int) -> bool:
        """Whether this transaction is open."""
        held = self._transaction
        return number == self._number and held is not None and not held.ended

    async def begin(self, asked: Begin) -> Done:
        """Wait for the writer, and hold it.

        Raises RequestError where it is held already, and why it cannot be had.
        """
        async with self._turn:
            if self._transaction is not None and not self._transaction.ended:
                raise RequestError(
                    "this client holds a transaction already; commit it, or attach "
                    "another client"
                )
            self._transaction = await self._host.writer().begin(
                Interactive(
                    self._host.idle_limit_s,
                    foreign_keys=asked.foreign_keys,
                    transaction_id=asked.transaction_id,
                )
            )
            self._number = asked.request_id
            return Done(asked.request_id)

    async def execute(
        self, number: int, queries: tuple[Query, ...]
    ) -> list[StatementResult]:
        """Run these within it; an error takes back its own statement alone."""
        async with self._turn:
            held = self._held(number)
            return [await held.ask(inside(query)) for query in queries]

    async def commit(self, request_id: int, number: int) -> Done:
        """Commit it; durable on return."""
        async with self._turn:
            held = self._held(number)
            answer = await held.ask_commit()
            done = Done(request_id, durable_on=answer.durable_on)
            return placed(done, answer.position)

    async def roll_back(self, request_id: int, number: int) -> Done:
        """Take it back; harmless where it stands no more."""
        async with self._turn:
            if self.stands(number):
                self._held(number).give_up()
                self._transaction = None
            return Done(request_id)

    def interrupt(self) -> None:
        """End the statement that runs, with an error for who waits."""
        if self._transaction is not None:
            self._transaction.interrupt()

    def leave(self) -> None:
        """The client is gone: the writer is free at once."""
        if self._transaction is not None:
            self._transaction.interrupt()
            self._transaction.give_up()
            self._transaction = None

    def _held(self, number: int) -> InteractiveTransaction:
        if self._transaction is None or number != self._number:
            raise TransactionExpiredError(
                f"no transaction {number} is open here; begin a new one"
            )
        return self._transaction


def inside(query: Query) -> Statement:
    """The statement, with a bound on its rows."""
    return Statement(
        query.sql, bound(query), many=query.many, most_bytes=MOST_BYTES_INSIDE
    )


def bound(query: Query) -> Any:
    """The parameters, as SQLite binds them."""
    return query.params if type(query.params) is dict else tuple(query.params)


def placed(done: Done, position: Position | None) -> Done:
    """The same with the place in the log of what was written, if anything was."""
    if position is None:
        return done
    return Done(
        done.request_id,
        done.counts,
        position.offset,
        position.epoch,
        position.history_id,
        done.outcome,
        done.durable_on,
    )
