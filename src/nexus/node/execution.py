"""Carry out a client's SQL request: reads from the pool, writes by the writer."""

import asyncio
from collections.abc import Callable
from typing import Final

from nexus.errors import (
    NotAppliedError,
    RefusedStatementError,
    RequestError,
    StatementError,
)
from nexus.model.position import Offset
from nexus.model.statements import StatementKind, classify, is_vacuum
from nexus.node.lasting import LastingExecutor
from nexus.node.reading.querying import query
from nexus.node.reading.waiters import OffsetWaiters
from nexus.node.requests import SqlRequest, SqlResponse, SqlResult
from nexus.node.telemetry.measures import Measures
from nexus.node.transactions import TransactionManager
from nexus.node.writing.work import Answer, Transaction
from nexus.storage.capturing.results import Statement, StatementResult
from nexus.storage.database import Database

_READ: Final = StatementKind.READ
_VACUUM: Final = StatementKind.VACUUM
"""By these names: to find a member of an enumeration costs 0.3 µs."""


class Executor:
    """Answers requests on one database."""

    def __init__(
        self,
        database: Database,
        waiters: OffsetWaiters,
        measures: Measures,
        *,
        patience_s: float,
        delay_ms: int = 0,
    ) -> None:
        self._database = database
        self._waiters = waiters
        self._measures = measures
        self._patience_s = patience_s
        self.threads = LastingExecutor(8, thread_name_prefix="nexus-reader")
        """For whatever reads the database."""
        self.delay_ms = delay_ms
        """By how much this node, while it is a replica, applies later on purpose."""

    def close(self) -> None:
        """Wait for the queries that run, and take no more."""
        self.threads.shutdown()

    async def execute(
        self, request: SqlRequest, writer: Callable[[], TransactionManager], epoch: int
    ) -> SqlResponse:
        """Run a request; `writer` is called only if something is to be written."""
        if request.min_offset is not None:
            await self.reach(Offset(request.min_offset))
        statements = tuple(
            [
                Statement(s.sql, p if isinstance(p := s.params, dict) else tuple(p))
                for s in request.statements
            ]
        )
        if not statements:
            raise RequestError("statements is empty; send at least one")
        kinds = [classify(statement.sql) for statement in statements]
        if all(kind is _READ for kind in kinds):
            loop = asyncio.get_running_loop()
            self._measures.statements_read += len(statements)
            results = await loop.run_in_executor(self.threads, self._read, statements)
            return _response(Answer(results, None), epoch)
        manager = writer()
        if _VACUUM in kinds and _is_vacuum_alone(statements):
            # This node's own matter, between two batches: nothing is logged.
            await manager.run(self._database.vacuum)
            return _response(Answer([StatementResult((), [], -1, 0)], None), epoch)
        if request.transaction:
            answer = await manager.execute(
                Transaction(statements, request.transaction_id)
            )
            return _response(answer, epoch)
        return await self._one_by_one(statements, manager, request, epoch)

    async def reach(self, offset: Offset) -> None:
        """Wait until this node has applied `offset`: clients read their own writes.

        Raises NotAppliedError where it has not in time.
        """
        if self.delay_ms > self._patience_s * 1000 and self._lacks(offset):
            raise NotAppliedError(
                f"this node is a delayed replica: it applies entries "
                f"{self.delay_ms / 1000:g} s after they were written, and has not "
                f"applied entry {offset}; read on another node"
            )
        try:
            await self._waiters.wait(offset, timeout_s=self._patience_s)
        except TimeoutError:
            raise NotAppliedError(
                f"this node has not applied entry {offset} within "
                f"{self._patience_s:g} s; ask another one, or try again"
            ) from None

    def _lacks(self, offset: Offset) -> bool:
        return self._database.position.offset < offset

    async def _one_by_one(
        self,
        statements: tuple[Statement, ...],
        manager: TransactionManager,
        request: SqlRequest,
        epoch: int,
    ) -> SqlResponse:
        """Each statement its own transaction; the first failure ends the request."""
        results: list[StatementResult] = []
        last = Answer([], None)
        for index, statement in enumerate(statements):
            name = request.transaction_id and f"{request.transaction_id}/{index}"
            try:
                answer = await manager.execute(Transaction((statement,), name))
            except (StatementError, RefusedStatementError) as error:
                error.index = index
                raise
            results += answer.results
            last = answer if answer.position is not None else last
        return _response(
            Answer(results, last.position, last.outcome, last.durable_on), epoch
        )

    def _read(self, statements: tuple[Statement, ...]) -> list[StatementResult]:
        """All queries of one request see one snapshot."""
        with self._database.reader() as reader:
            reader.execute("begin")
            try:
                return [query(reader, s, index) for index, s in enumerate(statements)]
            finally:
                reader.execute("rollback")


def _is_vacuum_alone(statements: tuple[Statement, ...]) -> bool:
    return len(statements) == 1 and is_vacuum(statements[0].sql)


def _response(answer: Answer, epoch: int) -> SqlResponse:
    position = answer.position
    return SqlResponse(
        [
            SqlResult(r.columns, r.rows, r.rows_affected, r.last_insert_rowid)
            for r in answer.results
        ],
        position.offset if position is not None else 0,
        position.epoch if position is not None else epoch,
        answer.outcome,
        answer.durable_on,
    )
