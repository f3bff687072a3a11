"""Run clients' queries and row changes on the writer's connection."""

from collections.abc import Iterator
from typing import Any, Final

from nexus.errors import AnswerTooLargeError
from nexus.model.statements import (
    StatementKind,
    classify,
    may_have_rows,
    writes_and_answers,
)
from nexus.storage.capturing.recorder import Recorder
from nexus.storage.capturing.results import Statement, StatementResult
from nexus.storage.database import Database
from nexus.storage.sqlite.connections import all_rows, execute
from nexus.storage.sqlite.permissions import Scope

_NOTHING: Final = StatementResult((), [], 0, 0)


class RowStatements:
    """Runs one statement at a time, within the writer's open transaction."""

    def __init__(self, database: Database, recorder: Recorder) -> None:
        self._writer = database.writer
        self._permissions = database.permissions
        self._recorder = recorder

    def run(self, statement: Statement) -> StatementResult:
        """Run it, for each set of its parameters; raises what apsw raises."""
        if statement.many is not None:
            return self._run_many(statement)
        writer, sql = self._writer, statement.sql
        before = writer.total_changes()
        gives_rows = self._permissions.passed.get(sql)
        result = _NOTHING
        if gives_rows is None:
            gives_rows = may_have_rows(sql)
            with self._permissions.within(Scope.ROWS):
                result = self._fetch(statement)
            self._permissions.remember(sql, gives_rows=gives_rows)
        elif gives_rows:
            result = self._fetch(statement)
        else:
            writer.execute(sql, statement.params)
        if writer.total_changes() != before:
            affected = writer.changes()
        else:
            affected = -1 if gives_rows and classify(sql) is StatementKind.READ else 0
        return StatementResult(
            result.columns,
            result.rows,
            affected,
            writer.last_insert_rowid(),
            result.decltypes,
        )

    def _fetch(self, statement: Statement) -> StatementResult:
        cursor = self._writer.cursor()
        # What RETURNING gives was changed: the transaction's own limit bounds it.
        most_bytes = 0 if writes_and_answers(statement.sql) else statement.most_bytes
        try:
            columns = execute(cursor, statement.sql, statement.params)
            rows = all_rows(cursor, most_bytes)
        except (UnicodeDecodeError, AnswerTooLargeError):
            cursor.close(force=True)  # half read, it would keep any savepoint open
            raise
        return StatementResult.of_query(columns, rows)

    def _run_many(self, statement: Statement) -> StatementResult:
        """Run it for each set of parameters, or for none."""
        writer, sql = self._writer, statement.sql
        sets = iter(statement.many or ())
        writer.execute("savepoint nexus_many")
        try:
            first = next(sets, None)
            if first is None:
                return StatementResult((), [], 0, writer.last_insert_rowid())
            result = self.run(Statement(sql, first))
            columns, rows, affected = result.columns, result.rows, result.rows_affected
            if columns:
                for params in sets:
                    result = self.run(Statement(sql, params))
                    rows += result.rows
                    affected += result.rows_affected
            else:
                affected += self._run_without_rows(sql, sets)
        except BaseException:
            if writer.in_transaction:
                writer.execute("rollback to nexus_many")
            raise
        finally:
            if writer.in_transaction:
                writer.execute("release nexus_many")
        return StatementResult(columns, rows, affected, writer.last_insert_rowid())

    def _run_without_rows(self, sql: str, sets: Iterator[Any]) -> int:
        """Run a statement that passed, all in one call; how many rows it changed.

        SQLite's total counts what triggers and cascades changed as well, so the rows
        are counted one by one where there are any.
        """
        writer = self._writer
        if self._recorder.has_followers:
            return sum(self.run(Statement(sql, one)).rows_affected for one in sets)
        before = writer.total_changes()
        writer.cursor().executemany(sql, sets)
        return writer.total_changes() - before
