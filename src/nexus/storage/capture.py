"""Run a transaction and take its operations: the only place that knows how.

Row changes come from SQLite's session extension (https://www.sqlite.org/sessionintro.html).
What a session does not see, or sees wrongly, is cared for here and beside it: schema
statements, AUTOINCREMENT counters, settings kept in the file, keys that are NULL or
respelled, and savepoints that are taken back.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import apsw

from nexus.errors import (
    ConstraintError,
    RefusedStatementError,
    StatementError,
    TransactionTooLargeError,
)
from nexus.model.statements import (
    StatementKind,
    classify,
    has_several,
    identifiers,
    quote,
    savepoint_name,
    writes_and_answers,
)
from nexus.storage.capturing.preupdate import NotSmallError
from nexus.storage.capturing.recorder import Recorder
from nexus.storage.capturing.results import Captured, Statement, StatementResult
from nexus.storage.capturing.rowstatements import RowStatements
from nexus.storage.capturing.widetext import refuse_spoiled
from nexus.storage.database import Database
from nexus.storage.sqlite.complaints import (
    BINDING_ERRORS,
    binding_error,
    statement_error,
)
from nexus.storage.sqlite.connections import storage_error
from nexus.storage.sqlite.permissions import PAST_THE_LOG

PROGRESS_OPERATIONS: Final = 1_000
"""SQLite operations between two looks at a running statement's size."""

_SAVEPOINT: Final = "savepoint nexus_transaction"
_RELEASE: Final = "release nexus_transaction"
_ROLLBACK: Final = "rollback to nexus_transaction"

MOST_TEXTS: Final = 4_096
"""Texts remembered; a client that puts values into its texts has many."""

_ROWS_ONLY: Final = (StatementKind.WRITE, StatementKind.READ)


class Watched(Protocol):
    """What may be given up while it runs."""

    cancelled: bool


class Capture:
    """Captures one transaction at a time, inside the writer's open transaction."""

    def __init__(self, database: Database, limit_bytes: int) -> None:
        self._database = database
        self._writer = database.writer
        self._permissions = database.permissions
        self._limit_bytes = limit_bytes
        self.watched: Watched | None = None
        """For whom the statements run: a running one ends once this is cancelled."""
        self._may_interrupt = False
        """Only a client's statement, and once: what takes it back must go through."""
        self._recorder = Recorder(database)
        self._rows = RowStatements(database, self._recorder)
        self._results: list[StatementResult] = []
        self._schema_hash = b""
        self._savepoints: list[str] = []
        self._too_large = False
        self._answer_is_no_text = False
        """Of the statement that ran last."""
        self._small: dict[str, bool] = {}
        """Texts, and whether they change few rows of ordinary tables."""
        self._writer.set_progress_handler(self._watch_size, PROGRESS_OPERATIONS)

    @property
    def outer_stands(self) -> bool:
        """False once a statement has rolled the whole SQLite transaction back."""
        return bool(self._writer.in_transaction)

    def run(self, statements: Sequence[Statement]) -> Captured:
        """Run a transaction of its own savepoint; all of it or nothing.

        Raises StatementError, ConstraintError, RefusedStatementError or
        TransactionTooLargeError; then it has left no trace.
        """
        if all(map(self._seems_small, statements)):
            try:
                return self._run(statements, small=True)
            except NotSmallError:
                self._small |= {statement.sql: False for statement in statements}
        return self._run(statements, small=False)

    def begin(self) -> None:
        """Begin a transaction step by step."""
        self._begin(small=False)

    def execute(self, statement: Statement) -> StatementResult:
        """Run the next statement; an error takes back that statement alone.

        But OR FAIL keeps what was done before the row that failed, as in SQLite.
        """
        index = len(self._results)
        if not writes_and_answers(statement.sql):
            return self._execute(statement, index)
        # RETURNING answers once all rows are changed, and may hold what is no text.
        self._writer.execute("savepoint nexus_statement")
        try:
            return self._execute(statement, index)
        except StatementError:
            if self.outer_stands and self._answer_is_no_text:
                self._writer.execute("rollback to nexus_statement")
            raise
        finally:
            if self.outer_stands:
                self._writer.execute("release nexus_statement")

    def finish(self) -> Captured:
        """Keep the transaction; raises ConstraintError for an open foreign key."""
        if self._writer.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            raise ConstraintError(
                "FOREIGN KEY constraint failed at the end of the transaction",
                index=max(len(self._results) - 1, 0),
            )
        try:
            operations = self._recorder.finish()
        except apsw.Error as error:
            raise storage_error("the changes could not be recorded", error) from error
        self._check_size()
        refuse_spoiled(self._writer, operations, self._database.encoding)
        self._writer.execute(_RELEASE)
        changes = tuple(self._recorder.schema_changes)
        return Captured(operations, self._results, self._schema_hash, changes)

    def abandon(self) -> None:
        """Take the transaction back; the outer one stands if it did before.

        But not if a virtual table was made: SQLite would ask it to sync at COMMIT, find
        it gone, and fail everybody's.
        """
        self._recorder.drop()
        if self.outer_stands and self._recorder.made_virtual_since():
            self._writer.execute("rollback")
        if self.outer_stands:
            self._writer.execute(_ROLLBACK)
            self._writer.execute(_RELEASE)

    def forget(self) -> None:
        """All of the writer's transaction is taken back: drop what was recorded."""
        self._recorder.drop(everything=True)

    def _seems_small(self, statement: Statement) -> bool:
        """Whether a statement changes few rows, as far as its text tells."""
        sql = statement.sql
        small = self._small.get(sql)
        if small is None:
            if len(self._small) >= MOST_TEXTS:
                self._small.clear()
            small = self._small[sql] = classify(sql) in _ROWS_ONLY
        return small and statement.many is None

    def _run(self, statements: Sequence[Statement], *, small: bool) -> Captured:
        self._begin(small=small)
        try:
            for index, statement in enumerate(statements):
                self._execute(statement, index)
            return self.finish()
        except BaseException:
            self.abandon()
            raise

    def _begin(self, *, small: bool) -> None:
        self._results = []
        self._savepoints = []
        self._too_large = False
        self._writer.execute(_SAVEPOINT)
        self._schema_hash = self._recorder.begin(small=small)

    def _execute(self, statement: Statement, index: int) -> StatementResult:
        if not self.outer_stands:
            raise StatementError(
                "an earlier statement rolled the transaction back; begin a new one",
                index=index,
            )
        self._permissions.refusal = ""
        self._answer_is_no_text = False
        self._may_interrupt = True
        try:
            result = self._dispatch(classify(statement.sql), statement)
            self._check_size()
        except (RefusedStatementError, StatementError) as refused:
            refused.index = index
            raise
        except apsw.Error as error:
            self._check_size()
            if self._permissions.refusal:
                raise RefusedStatementError(
                    self._permissions.refusal, index=index
                ) from error
            raise statement_error(error, index) from error
        except BINDING_ERRORS as unbound:
            self._answer_is_no_text = isinstance(unbound, UnicodeDecodeError)
            raise binding_error(unbound, index) from unbound
        finally:
            self._may_interrupt = False
        self._results.append(result)
        return result

    def _dispatch(self, kind: StatementKind, statement: Statement) -> StatementResult:
        if kind in _ROWS_ONLY:
            return self._rows.run(statement)
        if kind is StatementKind.SCHEMA:
            self._recorder.run_schema(statement.sql, statement.params)
        elif kind is StatementKind.PRAGMA:
            columns, rows = self._recorder.run_pragma(statement.sql)
            return StatementResult.of_query(columns, rows)
        elif kind in (
            StatementKind.SAVEPOINT,
            StatementKind.RELEASE,
            StatementKind.ROLLBACK_TO,
        ):
            self._run_savepoint(kind, statement.sql)
        elif kind is StatementKind.LOCAL:
            self._recorder.run_locally(statement.sql)
        elif kind is not StatementKind.EMPTY:
            raise RefusedStatementError(_reason(kind, statement.sql))
        return StatementResult((), [], -1, 0)

    def _run_savepoint(self, kind: StatementKind, sql: str) -> None:
        """Clients' savepoints are kept by depth, so that no name can be ours."""
        name = savepoint_name(sql)
        if kind is StatementKind.SAVEPOINT:
            self._savepoints.append(name)
            self._recorder.mark(len(self._savepoints))
            self._writer.execute(f"savepoint {self._own_name(len(self._savepoints))}")
            return
        if name not in self._savepoints:
            raise StatementError(
                f"no such savepoint: {name}", sqlite_errorcode=apsw.SQLITE_ERROR
            )
        depth = len(self._savepoints) - self._savepoints[::-1].index(name)
        if kind is StatementKind.RELEASE:
            self._writer.execute(f"release {self._own_name(depth)}")
            del self._savepoints[depth - 1 :]
        elif self._recorder.made_virtual_since(depth):
            self._writer.execute("rollback")
            raise StatementError(
                "SQLite cannot commit after a virtual table was taken back: the whole "
                "transaction is; make the table in a transaction of its own"
            )
        else:
            self._recorder.back_to(depth)
            self._writer.execute(f"rollback to {self._own_name(depth)}")
            self._recorder.resume()
            del self._savepoints[depth:]

    @staticmethod
    def _own_name(depth: int) -> str:
        return quote(f"nexus_savepoint_{depth}")

    def _watch_size(self) -> bool:
        """Called by SQLite while a statement runs; True interrupts it."""
        if self._recorder.size_bytes > self._limit_bytes:
            self._too_large = True
        if self._may_interrupt and self.watched is not None and self.watched.cancelled:
            self._may_interrupt = False
            return True
        return self._too_large

    def _check_size(self) -> None:
        size = self._recorder.size_bytes
        if self._too_large or size > self._limit_bytes:
            raise TransactionTooLargeError(
                size_bytes=size, limit_bytes=self._limit_bytes
            )


def _reason(kind: StatementKind, sql: str) -> str:
    """Why a statement of this kind is refused."""
    if has_several(sql):
        return "this is more than one statement; send each as one of its own"
    if kind is StatementKind.REFUSED:
        return PAST_THE_LOG
    if kind is not StatementKind.VACUUM:
        return _CONTROL
    if "into" in identifiers(sql):
        return "VACUUM INTO would write a file on the node; make a snapshot instead"
    return "VACUUM cannot run inside a transaction; send it as the only statement"


_CONTROL: Final = (
    "BEGIN, COMMIT and ROLLBACK are Nexus's here: the statements of one request are "
    "one transaction already; for an interactive one use a connection's commit()"
)
