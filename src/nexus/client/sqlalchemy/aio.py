"""`nexus+aio://`: the dialect for SQLAlchemy's asyncio engines."""

from functools import partial
from typing import Any

from sqlalchemy import pool
from sqlalchemy.connectors.asyncio import (
    AsyncAdapt_dbapi_connection,
    AsyncAdapt_dbapi_cursor,
    AsyncAdapt_dbapi_module,
    AsyncAdapt_dbapi_ss_cursor,
    AsyncAdapt_terminate,
)
from sqlalchemy.dialects.sqlite.base import SQLiteExecutionContext
from sqlalchemy.engine import URL
from sqlalchemy.util import await_only
from typing_extensions import override

from nexus.client.awaited import Connection
from nexus.client.sqlalchemy import driver
from nexus.client.sqlalchemy.dialect import NexusDialect


class AioCursor(AsyncAdapt_dbapi_cursor):
    """A cursor whose rows are all here once it has run."""

    @property
    def connection(self) -> Any:
        """The connection that it belongs to."""
        return self._adapt_connection


class AioStreamingCursor(AsyncAdapt_dbapi_ss_cursor):
    """A cursor whose rows come as they are asked for."""

    @property
    def connection(self) -> Any:
        """The connection that it belongs to."""
        return self._adapt_connection


class AioConnection(AsyncAdapt_terminate, AsyncAdapt_dbapi_connection):
    """What the dialect knows of a connection, awaited in SQLAlchemy's greenlets."""

    _cursor_cls = AioCursor
    _ss_cursor_cls = AioStreamingCursor
    _connection: Any

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._connection.blocking.in_transaction)

    @property
    def isolation_level(self) -> str | None:
        """None where each statement is its own transaction."""
        level: str | None = self._connection.blocking.isolation_level
        return level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        blocking = self._connection.blocking
        await_only(self._connection.call(setattr, blocking, "isolation_level", level))

    @override
    async def _terminate_graceful_close(self) -> None:
        await self._connection.close()

    @override
    def _terminate_force_close(self) -> None:
        self._connection.abandon()


class AioDriver(AsyncAdapt_dbapi_module):
    """The DB-API module that SQLAlchemy sees: connections are awaited within."""

    def __init__(self) -> None:
        self.driver = self.dbapi_module = driver
        for name in driver.__all__:
            if name != "connect":
                setattr(self, name, getattr(driver, name))

    def connect(self, *arguments: Any, **options: Any) -> AioConnection:
        """A connection in a thread of its own; `async_creator_fn` makes another."""
        creator = options.pop("async_creator_fn", None)
        if creator is not None:
            return AioConnection(self, await_only(creator(*arguments, **options)))
        options["check_same_thread"] = False  # closing may come from another one
        connect = partial(driver.connect, *arguments, **options)
        awaited: Any = await_only(Connection.open(connect))
        return AioConnection(self, awaited)


class AioContext(SQLiteExecutionContext):
    """Makes cursors whose rows come as they are asked for, for `stream`."""

    @override
    def create_server_side_cursor(self) -> Any:
        return self._dbapi_connection.cursor(server_side=True)


class NexusAioDialect(NexusDialect):
    """`nexus://` for `create_async_engine`."""

    driver = "aio"
    is_async = True
    has_terminate = True
    supports_statement_cache = True
    supports_server_side_cursors = True
    execution_ctx_cls = AioContext

    @override
    @classmethod
    def import_dbapi(cls) -> Any:
        return AioDriver()

    @override
    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        return pool.AsyncAdaptedQueuePool

    @override
    def get_driver_connection(self, connection: Any) -> Any:
        return connection._connection  # noqa: SLF001 - as SQLAlchemy's own dialects do

    @override
    def do_terminate(self, dbapi_connection: Any) -> None:
        dbapi_connection.terminate()
