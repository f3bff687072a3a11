"""Carry out the requests of one stream, in order."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, assert_never

from nexus.api.hrana.arguments import bind, parameters
from nexus.api.hrana.conditions import Conditions
from nexus.api.hrana.failures import failure_of
from nexus.api.hrana.messages import (
    AutocommitRequest,
    Batch,
    BatchRequest,
    CloseRequest,
    CloseSqlRequest,
    DescribeRequest,
    ExecuteRequest,
    SequenceRequest,
    Stmt,
    StoreSqlRequest,
    StreamRequest,
)
from nexus.api.hrana.results import (
    AutocommitResponse,
    BatchResponse,
    BatchResult,
    CloseResponse,
    CloseSqlResponse,
    Col,
    CursorEntry,
    DescribeParam,
    DescribeResponse,
    DescribeResult,
    ErrorResult,
    ExecuteResponse,
    HranaError,
    OkResult,
    RowEntry,
    SequenceResponse,
    StepBegin,
    StepEnd,
    StepError,
    StmtResult,
    StoreSqlResponse,
    StreamResponse,
)
from nexus.api.hrana.texts import Texts
from nexus.api.hrana.values import (
    write_columns,
    write_counts,
    write_result,
    write_row,
)
from nexus.api.refusals import (
    NoStatementError,
    SeveralStatementsError,
    StreamClosedError,
)
from nexus.errors import NexusError
from nexus.model.statements import StatementKind, classify, has_several, split
from nexus.node.sqlstream import SqlStream
from nexus.storage.capturing.results import Statement

ANSWER_BYTES: Final = 32 << 20
"""Of one statement's rows. A cursor has no such bound, but in a transaction that holds
the writer: elsewhere its rows are read from a view, as they are asked for."""


class Stream:
    """A client's stream of statements, and the texts that it has stored."""

    def __init__(self, sql: SqlStream, texts: Texts) -> None:
        self.is_closed = False
        self.sql = sql
        self.texts = texts

    async def carry_out(self, request: StreamRequest) -> OkResult | ErrorResult:
        """Do what a request wants, or say why it was not done."""
        try:
            if self.is_closed:
                raise StreamClosedError("an earlier request has closed the stream")
            return OkResult(await self._respond(request))
        except NexusError as error:
            return ErrorResult(failure_of(error))

    async def execute(self, stmt: Stmt) -> StmtResult:
        """Run a statement; raises NexusError."""
        result = await self.sql.run(self._statement(stmt))
        return write_result(result, want_rows=stmt.want_rows is not False)

    async def batch(self, batch: Batch) -> BatchResult:
        """Run a batch; a step's error is in the result."""
        results: list[StmtResult | None] = []
        errors: list[HranaError | None] = []
        conditions = Conditions(self.sql)
        for step in batch.steps:
            result, failure = None, None
            try:
                if conditions.hold(step.condition):
                    result = await self.execute(step.stmt)
            except NexusError as error:
                failure = failure_of(error)
            conditions.note(ok=result is not None, error=failure is not None)
            results.append(result)
            errors.append(failure)
        return BatchResult(results, errors)

    async def cursor(self, batch: Batch) -> AsyncGenerator[list[CursorEntry]]:
        """Run a batch; what it gives, as far as its reader keeps up."""
        conditions = Conditions(self.sql)
        for number, step in enumerate(batch.steps):
            ok = failed = False
            try:
                if conditions.hold(step.condition):
                    async with aclosing(self._step(number, step.stmt)) as pieces:
                        async for piece in pieces:
                            yield piece
                    ok = True
            except NexusError as error:
                failed = True
                yield [StepError(number, failure_of(error))]
            conditions.note(ok=ok, error=failed)

    def close(self) -> None:
        """Take back what is not committed."""
        self.is_closed = True
        self.sql.close()

    # --- Requests ---------------------------------------------------------------------

    async def _respond(self, request: StreamRequest) -> StreamResponse:
        match request:
            case ExecuteRequest():
                return ExecuteResponse(await self.execute(request.stmt))
            case BatchRequest():
                return BatchResponse(await self.batch(request.batch))
            case SequenceRequest():
                await self._run_script(self.texts.text(request.sql, request.sql_id))
                return SequenceResponse()
            case DescribeRequest():
                text = self.texts.text(request.sql, request.sql_id)
                return DescribeResponse(await self._describe(text))
            case _:
                return self._respond_at_once(request)

    def _respond_at_once(
        self,
        request: CloseRequest | StoreSqlRequest | CloseSqlRequest | AutocommitRequest,
    ) -> StreamResponse:
        match request:
            case CloseRequest():
                self.close()
                return CloseResponse()
            case StoreSqlRequest():
                self.texts.store(request.sql_id, request.sql)
                return StoreSqlResponse()
            case CloseSqlRequest():
                self.texts.forget(request.sql_id)
                return CloseSqlResponse()
            case AutocommitRequest():
                return AutocommitResponse(self.sql.is_autocommit)
            case _:
                assert_never(request)

    async def _run_script(self, text: str) -> None:
        for part in split(text):
            await self.sql.run(Statement(part, most_bytes=ANSWER_BYTES))

    async def _describe(self, text: str) -> DescribeResult:
        _require_one(text)
        told = await self.sql.describe(text)
        params = [
            DescribeParam(None if name in ("", "?") else name)
            for name in parameters(text)
        ]
        columns = [Col(*column) for column in told.columns]
        return DescribeResult(params, columns, told.is_explain, told.is_readonly)

    async def _step(self, number: int, stmt: Stmt) -> AsyncGenerator[list[CursorEntry]]:
        rows = await self.sql.open(self._statement(stmt))
        try:
            yield [StepBegin(number, write_columns(rows.result))]
            while piece := await rows.next_rows():
                if stmt.want_rows is not False:
                    yield [RowEntry(write_row(row)) for row in piece]
            yield [StepEnd(*write_counts(rows.result))]
        finally:
            rows.close()

    def _statement(self, stmt: Stmt) -> Statement:
        text = self.texts.text(stmt.sql, stmt.sql_id)
        _require_one(text)
        values = bind(text, stmt.args, stmt.named_args)
        return Statement(text, values, most_bytes=ANSWER_BYTES)


def _require_one(text: str) -> None:
    if has_several(text):
        raise SeveralStatementsError(
            "this is more than one statement; send each as one of its own, or all "
            "of them as a sequence"
        )
    if classify(text) is StatementKind.EMPTY:
        raise NoStatementError("the text has no statement")
