"""`nexus://`: SQLite's dialect over Nexus's connections."""

from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import exc, pool
from sqlalchemy.engine import URL
from sqlalchemy.sql.expression import TextClause, TextualSelect
from typing_extensions import override

from nexus.client.parameters import plan_for
from nexus.client.sqlalchemy import driver
from nexus.client.sqlalchemy.naming import Compiler, DdlCompiler, Preparer
from nexus.client.sqlalchemy.reflection import Reflection
from nexus.client.sqlalchemy.temporary import TemporaryObjects
from nexus.client.sqlalchemy.texts import whole_names
from nexus.client.sqlalchemy.urls import options_of, target
from nexus.errors import ForkedError
from nexus.model.statements import StatementKind

_BEGINS: Final = (StatementKind.SCHEMA, StatementKind.SAVEPOINT)
"""What a transaction of SQLAlchemy's is to hold, besides what changes rows."""


class NexusDialect(Reflection):
    """SQLite's dialect with transactions that hold schema statements and savepoints.

    A query outside a transaction takes no part in one, and may be answered by a
    replica; the first statement that changes something takes the cluster's writer.
    """

    driver = "nexus"
    supports_statement_cache = True
    statement_compiler = Compiler
    ddl_compiler = DdlCompiler
    preparer = Preparer

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._temporary = TemporaryObjects()
        self._levels: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    @override
    @classmethod
    def import_dbapi(cls) -> Any:
        return driver

    @override
    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        return pool.QueuePool

    @override
    def create_connect_args(self, url: URL) -> Any:
        return ([target(url)], {"check_same_thread": False, **options_of(url)})

    @override
    def on_connect_url(self, url: URL) -> Any:
        """REGEXP and the like are functions of the node's; none is registered here."""
        choice = url.query.get("foreign_keys", "on")
        if choice not in ("on", "off"):
            raise exc.ArgumentError(f"foreign_keys is on or off, not {choice}")
        return _leave_foreign_keys if choice == "off" else None

    @override
    def do_execute(
        self, cursor: Any, statement: str, parameters: Any, context: Any = None
    ) -> None:
        connection, statement = cursor.connection, _whole(statement, context)
        run = self._prepared(connection, statement)
        super().do_execute(cursor, run, parameters, context)
        self._temporary.ran(connection, statement)

    @override
    def do_execute_no_params(
        self, cursor: Any, statement: str, context: Any = None
    ) -> None:
        connection, statement = cursor.connection, _whole(statement, context)
        run = self._prepared(connection, statement)
        super().do_execute_no_params(cursor, run, context)
        self._temporary.ran(connection, statement)

    @override
    def do_commit(self, dbapi_connection: Any) -> None:
        self._temporary.drop(_driver_connection(dbapi_connection))
        super().do_commit(dbapi_connection)

    @override
    def do_rollback(self, dbapi_connection: Any) -> None:
        self._temporary.forget(_driver_connection(dbapi_connection))
        super().do_rollback(dbapi_connection)

    @override
    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """AUTOCOMMIT, or one of SQLite's two: transactions are serial under either."""
        dbapi_connection.isolation_level = None if level == "AUTOCOMMIT" else ""
        self._levels[dbapi_connection] = level

    @override
    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return self._levels.get(dbapi_connection, "SERIALIZABLE")

    @override
    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """In a child after fork() the pool is to make its own connections."""
        is_forked = isinstance(e, ForkedError)
        return is_forked or bool(super().is_disconnect(e, connection, cursor))

    def _prepared(self, connection: Any, statement: str) -> str:
        """What to run for a statement, once the transaction that it needs has begun."""
        kind = plan_for(statement).kind
        if kind is StatementKind.COMMIT:
            self._temporary.drop(connection)
        if kind not in _BEGINS or connection.isolation_level is None:
            return statement
        if not connection.in_transaction:
            connection.execute("BEGIN")
        return self._temporary.as_run(connection, statement)


def _whole(statement: str, context: Any) -> str:
    """The statement, with whole names where it was written by hand."""
    compiled = None if context is None else context.compiled
    if compiled is None or context.isddl or _by_hand(compiled):
        return whole_names(statement)
    return statement


def _by_hand(compiled: Any) -> bool:
    return isinstance(compiled.statement, TextClause | TextualSelect)


def _driver_connection(connection: Any) -> Any:
    """The pool lends connections behind one of its own."""
    return getattr(connection, "dbapi_connection", connection)


def _leave_foreign_keys(connection: Any) -> None:
    connection.execute("PRAGMA foreign_keys = off")
