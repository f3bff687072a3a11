"""What one connection to SQLite would be, for a client that speaks SQL from afar.

BEGIN, COMMIT, ROLLBACK and SAVEPOINT mean what they mean to SQLite. A transaction that
has only read holds a state of the database; the first write takes the node's writer.
Whoever falls silent in a transaction loses it, and is told so until it ends it: nothing
that was to be done within is ever done outside.
"""

from collections.abc import Awaitable, Callable

import apsw

from nexus.errors import (
    ForbiddenError,
)
from nexus.model.position import Position
from nexus.model.pragmas import ON, PragmaUse, read_pragma, setting_of
from nexus.model.statements import (
    BeginMode,
    StatementKind,
    begin_mode,
    classify,
    is_vacuum,
)
from nexus.node.reading.viewing import NOTHING, Rows, ViewedRows, Viewing
from nexus.node.reading.views import Description
from nexus.node.streamtransaction import (
    State,
    StreamHost,
    StreamTransaction,
    refusal,
)
from nexus.node.transactions import TransactionManager
from nexus.node.writing.interactive import InteractiveTransaction
from nexus.node.writing.work import Transaction
from nexus.storage.capturing.results import Statement, StatementResult


class SqlStream:
    """One client's statements, one after another; belongs to one event loop."""

    def __init__(self, host: StreamHost) -> None:
        self.may_write = True
        """False: whoever asks has a token for reading alone."""
        self.last_position: Position | None = None
        """Where its last committed write stands in the log."""
        self._host = host
        self._viewing = Viewing(host.views, host.threads)
        self._foreign_keys = True
        self._transaction = StreamTransaction(host, self._viewing)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._transaction.state

    @property
    def is_autocommit(self) -> bool:
        """Whether no transaction is open, as SQLite's own get_autocommit tells."""
        return self.state is State.AUTOCOMMIT

    async def run(self, statement: Statement) -> StatementResult:
        """Run one statement; raises NexusError.

        A failed statement leaves a transaction open, as SQLite does.
        """
        self._transaction.stop_timer()
        try:
            return await self._run(classify(statement.sql), statement)
        finally:
            self._transaction.start_timer()

    async def describe(self, sql: str) -> Description:
        """What a statement takes and gives; of what is committed."""
        views = self._host.views
        return await self._viewing.call(lambda: views.describe(sql))

    async def open(self, statement: Statement) -> Rows:
        """Run one statement whose rows are read in pieces, before the next one."""
        reads = classify(statement.sql) is StatementKind.READ
        if not reads or self.state in (State.WRITING, State.LOST):
            return Rows(await self.run(statement))
        transaction = self._transaction
        transaction.stop_timer()
        if transaction.state is State.AUTOCOMMIT:
            view = await self._viewing.open()
            rows = ViewedRows(self._viewing, view, lambda: self._viewing.give_up(view))
        else:
            view = await transaction.view()
            rows = ViewedRows(self._viewing, view, transaction.start_timer)
        try:
            await rows.begin(statement)
        except BaseException:
            rows.close()
            raise
        return rows

    def close(self) -> None:
        """Take back what is not committed; waits for nothing."""
        self._transaction.stop_timer()
        self._transaction.end()

    # --- Statements -------------------------------------------------------------------

    async def _run(self, kind: StatementKind, statement: Statement) -> StatementResult:
        control = self._control(kind)
        if control is not None:
            return await control(statement)
        if self._transaction.loss is not None:
            raise self._transaction.loss
        if kind is StatementKind.PRAGMA:
            return await self._pragma(statement)
        if kind is StatementKind.READ:
            return await self._read(statement)
        if kind is StatementKind.SAVEPOINT and self.is_autocommit:
            await self._take_writer()
            self._transaction.count_savepoints()
        if self.is_autocommit:
            return await self._run_alone(statement)
        return await self._write(statement)

    def _control(
        self, kind: StatementKind
    ) -> Callable[[Statement], Awaitable[StatementResult]] | None:
        match kind:
            case StatementKind.BEGIN:
                return self._begin
            case StatementKind.COMMIT:
                return self._commit
            case StatementKind.ROLLBACK:
                return self._rollback
            case _:
                return None

    async def _begin(self, statement: Statement) -> StatementResult:
        if not self.is_autocommit:
            raise refusal("cannot start a transaction within a transaction")
        mode = begin_mode(statement.sql)
        if mode is BeginMode.AT_ONCE:
            await self._take_writer()
        else:
            read_only = mode is BeginMode.READ_ONLY
            self._transaction.state = State.READ_ONLY if read_only else State.READING
        return NOTHING

    async def _commit(self, _: Statement) -> StatementResult:
        if self.is_autocommit:
            raise refusal("cannot commit - no transaction is active")
        transaction = self._transaction
        loss, writing = transaction.loss, transaction.writing
        transaction.writing = None
        transaction.end()
        if loss is not None:
            raise loss
        if writing is not None:
            position = (await writing.ask_commit()).position
            self.last_position = position or self.last_position
        return NOTHING

    async def _rollback(self, _: Statement) -> StatementResult:
        if self.is_autocommit:
            raise refusal("cannot rollback - no transaction is active")
        self._transaction.end()
        return NOTHING

    async def _read(self, statement: Statement) -> StatementResult:
        if self._transaction.writing is not None:
            return await self._write(statement)
        if self.is_autocommit:
            views = self._host.views
            return await self._viewing.call(lambda: views.query(statement))
        view = await self._transaction.view()
        return await self._viewing.call(lambda: view.query(statement))

    async def _pragma(self, statement: Statement) -> StatementResult:
        """`PRAGMA foreign_keys` is this stream's; the rest is the node's."""
        name, value = setting_of(statement.sql)
        if name == "foreign_keys":
            if not value:
                on = [(int(self._foreign_keys),)]
                return StatementResult(("foreign_keys",), on, -1, 0)
            if self.is_autocommit:  # within a transaction SQLite ignores it
                self._foreign_keys = value in ON
            return NOTHING
        if read_pragma(statement.sql).use is PragmaUse.READ:
            return await self._read(statement)
        if self.is_autocommit:
            return await self._run_alone(statement)
        return await self._write(statement)

    async def _run_alone(self, statement: Statement) -> StatementResult:
        manager = self._manager()
        if is_vacuum(statement.sql):
            # This node's own matter, between two batches: nothing is logged.
            await manager.run(self._host.database.vacuum)
            return NOTHING
        answer = await manager.execute(
            Transaction((statement,), foreign_keys=self._foreign_keys)
        )
        self.last_position = answer.position or self.last_position
        return answer.results[0]

    async def _write(self, statement: Statement) -> StatementResult:
        """Run it within the transaction that holds the writer, or comes to."""
        transaction = self._transaction
        writing = transaction.writing
        if writing is None:
            if transaction.state is State.READ_ONLY:
                raise refusal(
                    "attempt to write in a transaction that was begun as READONLY",
                    apsw.SQLITE_READONLY,
                )
            writing = await self._take_writer()
        result = await transaction.ask(writing, statement)
        if transaction.is_released_by(statement):
            await self._commit(statement)
        return result

    async def _take_writer(self) -> InteractiveTransaction:
        return await self._transaction.take_writer(
            self._manager(), foreign_keys=self._foreign_keys
        )

    def _manager(self) -> TransactionManager:
        if not self.may_write:
            raise ForbiddenError("writing needs a token of the role write")
        return self._host.writer()
