"""What one connection to SQLite would be, for a client that speaks SQL from afar.

BEGIN, COMMIT, ROLLBACK and SAVEPOINT mean what they mean to SQLite. A transaction that
has only read holds a state of the database; the first write takes the node's writer.
Whoever falls silent in a transaction loses it, and is told so until it ends it: nothing
that was to be done within is ever done outside.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import apsw

from nexus.errors import (
    ForbiddenError,
    NexusError,
    RefusedStatementError,
    StatementError,
    TransactionExpiredError,
)
from nexus.model.position import Position
from nexus.model.pragmas import PragmaUse, read_pragma, setting_of
from nexus.model.statements import (
    StatementKind,
    classify,
    is_vacuum,
    savepoint_name,
    words,
)
from nexus.node.reading.viewing import NOTHING, Rows, ViewedRows, Viewing
from nexus.node.reading.views import Description, View, Views
from nexus.node.transactions import TransactionManager
from nexus.node.writing.interactive import InteractiveTransaction
from nexus.node.writing.jobs import Transaction
from nexus.storage.capture import Statement, StatementResult
from nexus.storage.database import Database

_AT_ONCE: Final = {"IMMEDIATE", "EXCLUSIVE", "CONCURRENT"}
_ON: Final = {"1", "on", "true", "yes"}


class State(Enum):
    """Where a stream stands."""

    AUTOCOMMIT = auto()
    """Each statement is a transaction of its own."""
    READING = auto()
    """In a transaction that has only read; it may take the writer."""
    READ_ONLY = auto()
    """In one that may not."""
    WRITING = auto()
    """In one that holds the writer."""
    LOST = auto()
    """In one that the node has taken back; the client is to end it."""


@dataclass(frozen=True, slots=True)
class StreamHost:
    """What a stream needs of its node."""

    database: Database
    views: Views
    threads: Executor
    """For what blocks."""
    writer: Callable[[], TransactionManager]
    """The manager of writes; raises ReadOnlyReplicaError on a replica."""
    idle_limit_s: float
    """How long a transaction may stay idle."""


class SqlStream:
    """One client's statements, one after another; belongs to one event loop."""

    def __init__(self, host: StreamHost) -> None:
        self.state = State.AUTOCOMMIT
        self.may_write = True
        """False: whoever asks has a token for reading alone."""
        self.last_position: Position | None = None
        """Where its last committed write stands in the log."""
        self._host = host
        self._viewing = Viewing(host.views, host.threads)
        self._foreign_keys = True
        self._view: View | None = None
        self._writing: InteractiveTransaction | None = None
        self._loss: NexusError | None = None
        self._savepoints: list[str] | None = None
        """Of a transaction that began with SAVEPOINT and ends with its RELEASE."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_autocommit(self) -> bool:
        """Whether no transaction is open, as SQLite's own get_autocommit tells."""
        return self.state is State.AUTOCOMMIT

    async def run(self, statement: Statement) -> StatementResult:
        """Run one statement; raises NexusError.

        A failed statement leaves a transaction open, as SQLite does.
        """
        self._stop_timer()
        try:
            return await self._run(classify(statement.sql), statement)
        finally:
            self._start_timer()

    async def describe(self, sql: str) -> Description:
        """What a statement takes and gives; of what is committed."""
        views = self._host.views
        return await self._viewing.call(lambda: views.describe(sql))

    async def open(self, statement: Statement) -> Rows:
        """Run one statement whose rows are read in pieces, before the next one."""
        reads = classify(statement.sql) is StatementKind.READ
        if not reads or self.state in (State.WRITING, State.LOST):
            return Rows(await self.run(statement))
        self._stop_timer()
        if self.state is State.AUTOCOMMIT:
            view = await self._viewing.open()
            rows = ViewedRows(self._viewing, view, lambda: self._viewing.give_up(view))
        else:
            view = await self._view_of_transaction()
            rows = ViewedRows(self._viewing, view, self._start_timer)
        try:
            await rows.begin(statement)
        except BaseException:
            rows.close()
            raise
        return rows

    def close(self) -> None:
        """Take back what is not committed; waits for nothing."""
        self._stop_timer()
        self._end_transaction()

    # --- Statements -------------------------------------------------------------------

    async def _run(self, kind: StatementKind, statement: Statement) -> StatementResult:
        control = self._control(kind)
        if control is not None:
            return await control(statement)
        if self._loss is not None:
            raise self._loss
        if kind is StatementKind.PRAGMA:
            return await self._pragma(statement)
        if kind is StatementKind.READ:
            return await self._read(statement)
        if kind is StatementKind.SAVEPOINT and self.is_autocommit:
            await self._take_writer()
            self._savepoints = []
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
            raise _wrong("cannot start a transaction within a transaction")
        named = {word.upper() for word in words(statement.sql, most=3)}
        if named & _AT_ONCE:
            await self._take_writer()
        else:
            self.state = State.READ_ONLY if "READONLY" in named else State.READING
        return NOTHING

    async def _commit(self, _: Statement) -> StatementResult:
        if self.is_autocommit:
            raise _wrong("cannot commit - no transaction is active")
        loss, writing = self._loss, self._writing
        self._writing = None
        self._end_transaction()
        if loss is not None:
            raise loss
        if writing is not None:
            position = (await writing.ask_commit()).position
            self.last_position = position or self.last_position
        return NOTHING

    async def _rollback(self, _: Statement) -> StatementResult:
        if self.is_autocommit:
            raise _wrong("cannot rollback - no transaction is active")
        self._end_transaction()
        return NOTHING

    async def _read(self, statement: Statement) -> StatementResult:
        if self._writing is not None:
            return await self._write(statement)
        if self.is_autocommit:
            views = self._host.views
            return await self._viewing.call(lambda: views.query(statement))
        view = await self._view_of_transaction()
        return await self._viewing.call(lambda: view.query(statement))

    async def _pragma(self, statement: Statement) -> StatementResult:
        """`PRAGMA foreign_keys` is this stream's; the rest is the node's."""
        name, value = setting_of(statement.sql)
        if name == "foreign_keys":
            if not value:
                on = [(int(self._foreign_keys),)]
                return StatementResult(("foreign_keys",), on, -1, 0)
            if self.is_autocommit:  # within a transaction SQLite ignores it
                self._foreign_keys = value in _ON
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
        if self._writing is None:
            if self.state is State.READ_ONLY:
                raise _wrong(
                    "attempt to write in a transaction that was begun as READONLY",
                    apsw.SQLITE_READONLY,
                )
            await self._take_writer()
        assert self._writing is not None, "it was taken"
        result = await self._ask(self._writing, statement)
        if self._savepoints is not None and self._is_released(statement):
            await self._commit(statement)
        return result

    async def _ask(
        self, writing: InteractiveTransaction, statement: Statement
    ) -> StatementResult:
        if writing.ended:
            self._lose(writing.end_error)
        try:
            return await writing.ask(statement)
        except (StatementError, RefusedStatementError):
            if writing.ended:  # OR ROLLBACK, RAISE(ROLLBACK)
                self._end_transaction()
            raise
        except NexusError as error:
            if writing.ended:
                self._lose(error)
            raise

    def _is_released(self, statement: Statement) -> bool:
        """Whether the savepoint that began the transaction is gone."""
        names, kind = self._savepoints, classify(statement.sql)
        assert names is not None, "the caller asked"
        if kind is StatementKind.SAVEPOINT:
            names.append(savepoint_name(statement.sql))
        elif kind in (StatementKind.RELEASE, StatementKind.ROLLBACK_TO):
            depth = len(names) - names[::-1].index(savepoint_name(statement.sql))
            del names[depth if kind is StatementKind.ROLLBACK_TO else depth - 1 :]
        return not names

    # --- Transactions -----------------------------------------------------------------

    async def _take_writer(self) -> None:
        """Wait for the writer; what was read must still be so."""
        writing = await self._manager().begin_soon(
            idle_limit_s=self._host.idle_limit_s, foreign_keys=self._foreign_keys
        )
        view, now = self._view, self._host.database.position.offset
        if view is not None and view.offset != now:
            writing.give_up()
            raise _wrong(
                "database is locked: others have written since this transaction read; "
                "take it back and begin it again, with BEGIN IMMEDIATE",
                apsw.SQLITE_BUSY_SNAPSHOT,
            )
        self._give_view_up()
        self._writing, self.state = writing, State.WRITING

    async def _view_of_transaction(self) -> View:
        if self._view is None:
            self._view = await self._viewing.open()
        return self._view

    def _give_view_up(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            self._viewing.give_up(view)

    def _end_transaction(self) -> None:
        """Without a commit, if there is something to commit."""
        self._give_view_up()
        writing, self._writing = self._writing, None
        self.state, self._loss, self._savepoints = State.AUTOCOMMIT, None, None
        if writing is not None:
            writing.give_up()

    def _lose(self, error: NexusError) -> None:
        self._end_transaction()
        self.state, self._loss = State.LOST, error
        raise error

    def _expire(self) -> None:
        """A transaction that only reads was idle for too long."""
        if self._view is not None:
            limit_s = self._host.idle_limit_s
            self._end_transaction()
            self.state = State.LOST
            self._loss = TransactionExpiredError(
                f"the transaction was idle for more than {limit_s:g} s and was given "
                "up; begin a new one"
            )

    def _manager(self) -> TransactionManager:
        if not self.may_write:
            raise ForbiddenError("writing needs a token of the role write")
        return self._host.writer()

    def _start_timer(self) -> None:
        self._stop_timer()
        if self._view is not None:
            self._timer = asyncio.get_running_loop().call_later(
                self._host.idle_limit_s, self._expire
            )

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _wrong(message: str, code: int = apsw.SQLITE_ERROR) -> StatementError:
    return StatementError(message, sqlite_errorcode=code)
