"""Run a transaction and take its operations: the only place that knows how.

Row changes come from SQLite's session extension (https://www.sqlite.org/sessionintro.html).
What a session does not see, or sees wrongly, is cared for here and beside it: schema
statements, AUTOINCREMENT counters, settings kept in the file, keys that are NULL or
respelled, and savepoints that are taken back.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import apsw
import msgspec

from nexus.errors import (
    ConstraintError,
    DiskFullError,
    NexusError,
    RefusedStatementError,
    StatementError,
    TransactionTooLargeError,
)
from nexus.model.operation import Operation
from nexus.storage.database import Database
from nexus.storage.recorder import Recorder
from nexus.storage.statements import (
    StatementKind,
    classify,
    identifiers,
    may_have_rows,
    quote,
    savepoint_name,
    split,
)
from nexus.storage.system import PREFIX

PROGRESS_OPERATIONS: Final = 20_000
"""SQLite operations between two looks at a running statement's size."""

SAVEPOINT: Final = "nexus_transaction"


class Statement(msgspec.Struct, frozen=True):
    """One statement with its parameters; `many` runs it once for each set."""

    sql: str
    params: Any = ()
    many: Any = None


class StatementResult(msgspec.Struct, frozen=True):
    """What one statement gave."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    rows_affected: int
    """-1 where SQLite does not count."""
    last_insert_rowid: int


class Captured(msgspec.Struct, frozen=True):
    """What a transaction did."""

    operations: tuple[Operation, ...]
    results: list[StatementResult]
    schema_hash: bytes
    """The schema before its first operation."""


class Capture:
    """Captures one transaction at a time, inside the writer's open transaction."""

    def __init__(self, database: Database, limit_bytes: int) -> None:
        self._database = database
        self._writer = database.writer
        self._limit_bytes = limit_bytes
        self._recorder = Recorder(database)
        self._results: list[StatementResult] = []
        self._schema_hash = b""
        self._savepoints: list[str] = []
        self._too_large = False
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
        self.begin()
        try:
            for index, statement in enumerate(statements):
                self._execute(statement, index)
            return self.finish()
        except BaseException:
            self.abandon()
            raise

    def begin(self) -> None:
        """Begin a transaction step by step."""
        self._results = []
        self._savepoints = []
        self._too_large = False
        self._writer.execute(f"savepoint {SAVEPOINT}")
        self._recorder.begin()
        self._schema_hash = self._database.schema_hash()

    def execute(self, statement: Statement) -> StatementResult:
        """Run the next statement; an error takes back that statement alone."""
        self._recorder.begin_statement()
        changes = self._writer.total_changes()
        try:
            return self._execute(statement, len(self._results))
        except NexusError:
            # OR FAIL keeps the rows before the one that failed; SQLite counts those.
            if self.outer_stands and self._writer.total_changes() == changes:
                self._recorder.forget_statement()
            raise

    def finish(self) -> Captured:
        """Keep the transaction; raises ConstraintError for an open foreign key."""
        if self._writer.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            raise ConstraintError(
                "FOREIGN KEY constraint failed at the end of the transaction",
                index=max(len(self._results) - 1, 0),
            )
        operations = self._recorder.finish()
        self._writer.execute(f"release {SAVEPOINT}")
        return Captured(operations, self._results, self._schema_hash)

    def abandon(self) -> None:
        """Take the transaction back; the outer one stands if it did before."""
        self._recorder.drop()
        if self.outer_stands:
            self._writer.execute(f"rollback to {SAVEPOINT}")
            self._writer.execute(f"release {SAVEPOINT}")

    def forget(self) -> None:
        """All of the writer's transaction is taken back: drop what was recorded."""
        self._recorder.drop(everything=True)

    def _execute(self, statement: Statement, index: int) -> StatementResult:
        kind = classify(statement.sql)
        try:
            refuse_unsafe(kind, statement.sql)
            result = self._dispatch(kind, statement)
            self._check_size()
        except RefusedStatementError as error:
            error.index = index
            raise
        except apsw.Error as error:
            self._check_size()
            raise statement_error(error, index) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise StatementError(str(error), index=index) from error
        except KeyError as error:
            raise StatementError(
                f"parameter {error} is missing", index=index
            ) from error
        self._results.append(result)
        return result

    def _dispatch(self, kind: StatementKind, statement: Statement) -> StatementResult:
        if kind in (StatementKind.WRITE, StatementKind.READ):
            return self._run_rows(statement)
        if kind is StatementKind.SCHEMA:
            self._recorder.run_schema(statement.sql, statement.params)
        elif kind is StatementKind.PRAGMA:
            rows = self._recorder.run_pragma(statement.sql)
            return StatementResult((), rows, -1, 0)
        elif kind in (
            StatementKind.SAVEPOINT,
            StatementKind.RELEASE,
            StatementKind.ROLLBACK_TO,
        ):
            self._run_savepoint(kind, statement.sql)
        elif kind is StatementKind.LOCAL:
            self._recorder.run_locally(statement.sql)
        elif kind is not StatementKind.EMPTY:
            raise RefusedStatementError(_REASONS.get(kind, _CONTROL))
        return StatementResult((), [], -1, 0)

    def _run_rows(self, statement: Statement) -> StatementResult:
        writer = self._writer
        before = writer.total_changes()
        cursor = writer.cursor()
        columns: list[str] = []
        if may_have_rows(statement.sql):
            cursor.exec_trace = _column_reader(columns)
        if statement.many is not None:
            cursor.executemany(statement.sql, statement.many)
        else:
            cursor.execute(statement.sql, statement.params)
        rows = cursor.fetchall()
        return StatementResult(
            tuple(columns),
            rows,
            writer.changes() if writer.total_changes() != before else 0,
            writer.last_insert_rowid(),
        )

    def _run_savepoint(self, kind: StatementKind, sql: str) -> None:
        """Clients' savepoints are kept by depth, so that no name can be ours."""
        name = savepoint_name(sql)
        if kind is StatementKind.SAVEPOINT:
            self._savepoints.append(name)
            self._recorder.mark(len(self._savepoints))
            self._writer.execute(f"savepoint {self._own_name(len(self._savepoints))}")
            return
        if name not in self._savepoints:
            raise RefusedStatementError(f"no such savepoint: {name}")
        depth = len(self._savepoints) - self._savepoints[::-1].index(name)
        if kind is StatementKind.RELEASE:
            self._writer.execute(f"release {self._own_name(depth)}")
            del self._savepoints[depth - 1 :]
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
        return self._too_large

    def _check_size(self) -> None:
        size = self._recorder.size_bytes
        if self._too_large or size > self._limit_bytes:
            raise TransactionTooLargeError(
                size_bytes=size, limit_bytes=self._limit_bytes
            )


@lru_cache(maxsize=4096)
def refuse_unsafe(kind: StatementKind, sql: str) -> None:
    """Raise RefusedStatementError for two statements in one, or a write to our tables.

    Only statements that pass are remembered.
    """
    if ";" in sql.rstrip("; \t\r\n") and len(split(sql)) > 1:
        raise RefusedStatementError(
            "this is more than one statement; send each as one of its own"
        )
    if (
        kind in (StatementKind.WRITE, StatementKind.SCHEMA)
        and PREFIX in sql.lower()
        and any(name.startswith(PREFIX) for name in identifiers(sql))
    ):
        raise RefusedStatementError(
            f"names that begin with {PREFIX} are Nexus's own and cannot be written"
        )


def _column_reader(columns: list[str]) -> Callable[..., bool]:
    """Notes the names before the first step: afterwards SQLite has forgotten them."""

    def read(cursor: apsw.Cursor, _: str, __: Any) -> bool:
        columns[:] = [part[0] for part in cursor.get_description()]
        return True

    return read


_CONTROL: Final = (
    "BEGIN, COMMIT and ROLLBACK are Nexus's here: the statements of one request are "
    "one transaction already; for an interactive one use a connection's commit()"
)

_REASONS: Final = {
    StatementKind.VACUUM: (
        "VACUUM cannot run inside a transaction; send it as the only statement"
    ),
    StatementKind.REFUSED: (
        "ATTACH and DETACH would write past the log: only the main database is "
        "replicated; import the other file's rows instead"
    ),
}


def statement_error(error: apsw.Error, index: int) -> NexusError:
    """SQLite's error as one of ours, with its message and the statement's index."""
    if isinstance(error, apsw.ConstraintError):
        return ConstraintError(str(error), index=index)
    if isinstance(error, apsw.FullError):
        return DiskFullError(f"the disk is full: {error}; nothing was written")
    return StatementError(str(error), index=index)
