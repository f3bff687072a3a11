"""DB-API 2.0 (PEP 249) on a node inside this process.

Reads outside a transaction come from the node's pool of readers, everything else
passes the writer. Python's own `sqlite3` must not open the same file in this process:
two copies of SQLite do not see each other's locks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, Self

import apsw

from nexus.errors import NexusError, NodeStoppedError
from nexus.model.position import Position
from nexus.model.statements import StatementKind, classify, split
from nexus.node.interactive import InteractiveTransaction
from nexus.node.jobs import Answer, Transaction
from nexus.node.transactions import TransactionManager
from nexus.storage.capture import Statement, StatementResult
from nexus.storage.complaints import BINDING_ERRORS, binding_error, statement_error
from nexus.storage.connections import fetch
from nexus.storage.database import Database

apilevel: Final = "2.0"
threadsafety: Final = 1
"""Threads may share the module; each uses a connection of its own."""
paramstyle: Final = "qmark"

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]


class InterfaceError(NexusError):
    """A connection or cursor was used after it was closed."""

    code = "interface"


class Host(Protocol):
    """What a connection needs of its node."""

    @property
    def database(self) -> Database:
        """The node's database, for reads."""

    def writer(self) -> TransactionManager:
        """The manager of writes; raises ReadOnlyReplicaError on a replica."""

    @property
    def idle_limit_s(self) -> float:
        """How long a transaction may stay idle."""


class Connection:
    """One client of a node; for one thread at a time.

    As PEP 249 asks, the first write begins a transaction that `commit` ends; with
    `autocommit` each statement is its own, and those of many connections share one
    sync of the disk. A transaction holds the node's only writer: keep it short.
    """

    def __init__(self, host: Host, *, autocommit: bool = False) -> None:
        self.autocommit = autocommit
        self.last_position: Position | None = None
        """Where the last committed write of this connection stands in the log."""
        self.total_changes = 0
        self._host = host
        self._transaction: InteractiveTransaction | None = None
        self._foreign_keys = True
        self._closed = False

    @property
    def in_transaction(self) -> bool:
        """Whether this connection holds the writer."""
        return self._transaction is not None and not self._transaction.ended

    def cursor(self) -> "Cursor":
        """A new cursor on this connection."""
        self._require_open()
        return Cursor(self)

    def execute(self, sql: str, parameters: Parameters = ()) -> "Cursor":
        """Run one statement; returns a cursor with its rows."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> "Cursor":
        """Run one statement for each set of parameters, in one transaction."""
        return self.cursor().executemany(sql, rows)

    def executescript(self, sql: str) -> "Cursor":
        """Run all statements of a script; outside a transaction they are one."""
        return self.cursor().executescript(sql)

    def commit(self) -> None:
        """Commit the open transaction, if there is one; durable on return."""
        self._require_open()
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            self._remember(transaction.commit())

    def rollback(self) -> None:
        """Take the open transaction back, if there is one."""
        self._require_open()
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.rollback()

    def close(self) -> None:
        """Take back what is not committed; the connection is of no use afterwards."""
        if not self._closed:
            self.rollback()
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()

    def run(self, statement: Statement) -> StatementResult:
        """Run one statement where it belongs: reader, writer, or this connection."""
        self._require_open()
        kind = classify(statement.sql)
        if kind is StatementKind.BEGIN:
            self._begin()
        elif kind is StatementKind.COMMIT:
            self.commit()
        elif kind is StatementKind.ROLLBACK:
            self.rollback()
        elif self._transaction is not None:
            return self._run_inside(statement)
        elif kind is StatementKind.READ:
            return self._read(statement)
        elif kind is StatementKind.PRAGMA:
            return self._pragma(statement)
        elif (self.autocommit and kind is not StatementKind.SAVEPOINT) or kind in (
            StatementKind.LOCAL,
            StatementKind.VACUUM,
        ):
            return self._run_alone((statement,))[0]
        else:
            self._begin()
            return self._run_inside(statement)
        return StatementResult((), [], -1, 0)

    def run_script(self, statements: Sequence[Statement]) -> None:
        """Run a script; without transaction control in it, as one transaction."""
        self._require_open()
        kinds = {classify(statement.sql) for statement in statements}
        control = {
            StatementKind.BEGIN,
            StatementKind.COMMIT,
            StatementKind.ROLLBACK,
            StatementKind.PRAGMA,
            StatementKind.VACUUM,
            StatementKind.LOCAL,
        }
        if self._transaction is not None or kinds & control:
            for statement in statements:
                self.run(statement)
        elif statements:
            self._run_alone(tuple(statements))

    def _begin(self) -> None:
        if self.in_transaction:
            raise InterfaceError("a transaction is open already; commit it first")
        self._transaction = self._host.writer().begin(
            idle_limit_s=self._host.idle_limit_s, foreign_keys=self._foreign_keys
        )

    def _run_inside(self, statement: Statement) -> StatementResult:
        assert self._transaction is not None, "the caller began a transaction"
        transaction = self._transaction
        try:
            result = transaction.execute(statement)
        finally:
            # Only now: had it ended unseen, what follows would be done without what
            # came before.
            if transaction.ended:
                self._transaction = None
        self.total_changes += max(result.rows_affected, 0)
        return result

    def _run_alone(self, statements: tuple[Statement, ...]) -> list[StatementResult]:
        answer = self._host.writer().execute_blocking(
            Transaction(statements, foreign_keys=self._foreign_keys)
        )
        self._remember(answer)
        return answer.results

    def _read(self, statement: Statement) -> StatementResult:
        return read(self._host.database, statement)

    def _pragma(self, statement: Statement) -> StatementResult:
        """`PRAGMA foreign_keys = …` is this connection's; the rest is the node's."""
        name, _, value = statement.sql.replace(";", " ").partition("=")
        if value and name.split()[-1].lower() == "foreign_keys":
            self._foreign_keys = value.strip().lower() in ("1", "on", "true", "yes")
            return StatementResult((), [], -1, 0)
        return self._run_alone((statement,))[0]

    def _remember(self, answer: Answer) -> None:
        if answer.position is not None:
            self.last_position = answer.position
        for result in answer.results:
            self.total_changes += max(result.rows_affected, 0)

    def _require_open(self) -> None:
        if self._closed:
            raise InterfaceError("this connection is closed; make a new one")


class Cursor:
    """Rows of the last statement; PEP 249's cursor."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.description: (
            tuple[tuple[str, None, None, None, None, None, None], ...] | None
        )
        self.description = None
        self._rows: Iterator[Row] = iter(())

    def execute(self, sql: str, parameters: Parameters = ()) -> Self:
        """Run one statement; raises NexusError."""
        self._show(self.connection.run(Statement(sql, _kept(parameters))))
        return self

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Self:
        """Run one statement for each set of parameters, in one transaction."""
        many = tuple(map(_kept, rows))
        self._show(self.connection.run(Statement(sql, many=many)))
        return self

    def executescript(self, sql: str) -> Self:
        """Run all statements of a script."""
        self.connection.run_script([Statement(part) for part in split(sql)])
        return self

    def fetchone(self) -> Row | None:
        """The next row, or None."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next `size` rows (`arraysize` unless given)."""
        wanted = self.arraysize if size is None else size
        return [row for _, row in zip(range(wanted), self._rows, strict=False)]

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        return list(self._rows)

    def setinputsizes(self, sizes: Sequence[object]) -> None:
        """Does nothing, as PEP 249 permits."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing, as PEP 249 permits."""

    def close(self) -> None:
        """Forget the rows."""
        self._rows = iter(())

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def _show(self, result: StatementResult) -> None:
        self._rows = iter(result.rows)
        self.rowcount = result.rows_affected
        self.lastrowid = result.last_insert_rowid or self.lastrowid
        self.description = (
            tuple((name, None, None, None, None, None, None) for name in result.columns)
            or None
        )


def _kept(parameters: Parameters) -> Parameters:
    """What the caller cannot change any more, or names them."""
    if type(parameters) is tuple or isinstance(parameters, Mapping):
        return parameters
    return tuple(parameters)


def read(database: Database, statement: Statement) -> StatementResult:
    """Answer a query from the pool of readers."""
    with database.reader() as reader:
        return query(reader, statement)


def query(
    reader: apsw.Connection, statement: Statement, index: int = 0
) -> StatementResult:
    """All rows of a query on this connection, the request's statement `index`.

    Raises StatementError, and NodeStoppedError where the node stops meanwhile.
    """
    try:
        columns, rows = fetch(
            reader,
            statement.sql,
            statement.params or (),
            most_bytes=statement.most_bytes,
        )
    except apsw.InterruptError:
        raise NodeStoppedError("this node is stopping; read on another one") from None
    except apsw.Error as error:
        raise statement_error(error, index) from error
    except BINDING_ERRORS as error:
        raise binding_error(error, index) from error
    return StatementResult.of_query(columns, rows)
