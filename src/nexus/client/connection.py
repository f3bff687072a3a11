"""The connection of PEP 249, as sqlite3's, over a session."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import get_ident
from typing import Any, Final, Literal, Self

from typing_extensions import override

from nexus.client import exceptions
from nexus.client.changes import ChangesSource, Wanted
from nexus.client.control import Control
from nexus.client.cursor import Cursor
from nexus.client.dump import dumped
from nexus.client.exceptions import (
    NotSupportedError,
    ProgrammingError,
    translated,
)
from nexus.client.followed import FollowedChanges
from nexus.client.parameters import Plan, plan_for
from nexus.client.session import Result, Session, Statement
from nexus.client.unsupported import Unsupported
from nexus.errors import NexusError
from nexus.model.position import Position
from nexus.model.statements import StatementKind

LEGACY_TRANSACTION_CONTROL: Final = -1
"""`autocommit` as sqlite3 has it unless told: see `Connection.isolation_level`."""

_UNMADE: Final = -1
"""The thread of a connection whose `__init__` was not called."""

_LEVELS: Final = ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")


class Connection(Unsupported):
    """One client of a node or a cluster; for one thread at a time.

    As with sqlite3 the first INSERT, UPDATE, DELETE or REPLACE begins a transaction
    that `commit` ends; a query outside of one sees the last committed state. With
    `autocommit=True` (or `isolation_level=None`) each statement is its own
    transaction. A transaction that has run a statement holds the cluster's only
    writer: keep it short.
    """

    _thread: int | None = _UNMADE

    Warning = exceptions.Warning
    Error = exceptions.Error
    InterfaceError = exceptions.InterfaceError
    DatabaseError = exceptions.DatabaseError
    DataError = exceptions.DataError
    OperationalError = exceptions.OperationalError
    IntegrityError = exceptions.IntegrityError
    InternalError = exceptions.InternalError
    ProgrammingError = exceptions.ProgrammingError
    NotSupportedError = exceptions.NotSupportedError

    def __init__(
        self,
        session: Session,
        *,
        detect_types: int = 0,
        isolation_level: str | None = "",
        check_same_thread: bool = True,
        autocommit: bool | Literal[-1] = LEGACY_TRANSACTION_CONTROL,
    ) -> None:
        _require_mode(autocommit)
        self._control: Control | None = Control(session)
        self._thread = get_ident() if check_same_thread else None
        self._isolation_level = _level(isolation_level)
        self._autocommit = autocommit
        self.detect_types = detect_types
        self.row_factory: Callable[[Any, Any], Any] | None = None
        self.text_factory: Callable[[bytes], Any] = str
        self._begin_if_always()

    @property
    def isolation_level(self) -> str | None:
        """Where `autocommit` is legacy: None, each statement is its own transaction.

        With any other, one begins before the first statement that changes rows.
        """
        _ = self._opened  # raises once it is closed; any thread may ask
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self.require_open()
        self._isolation_level = _level(level)
        if level is None:
            self._settle(self._opened.commit)

    @property
    def autocommit(self) -> bool | int:
        """True, False (a transaction is always open), or LEGACY_TRANSACTION_CONTROL."""
        self.require_open()
        return self._autocommit

    @autocommit.setter
    def autocommit(self, autocommit: bool | Literal[-1]) -> None:
        self.require_open()
        _require_mode(autocommit)
        self._autocommit = autocommit
        if autocommit is True:
            self._settle(self._opened.commit)
        self._begin_if_always()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._opened.in_transaction

    @property
    def total_changes(self) -> int:
        """How many rows this connection's statements have changed."""
        return self._opened.total_changes

    @property
    def last_insert_rowid(self) -> int:
        """The rowid of the last row that this connection inserted, or 0."""
        return self._opened.last_insert_rowid

    @property
    def last_position(self) -> Position | None:
        """Where the last committed write of this connection stands in the log."""
        return self._opened.session.last_position

    def cursor(self, factory: Callable[["Connection"], Any] = Cursor) -> Any:
        """A new cursor, or what `factory` makes of this connection."""
        self.require_open()
        if factory is Cursor:
            return Cursor(self)
        cursor = factory(self)
        if not isinstance(cursor, Cursor):
            raise TypeError(
                "factory must return a cursor, not " + type(cursor).__name__
            )
        return cursor

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Run one statement; returns a cursor with its rows."""
        if type(self) is Connection:  # a subclass may have a cursor of its own
            return Cursor(self).execute(sql, parameters)
        cursor: Cursor = self.cursor().execute(sql, parameters)
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run one statement for each set of parameters: for all of them, or none."""
        cursor: Cursor = self.cursor().executemany(sql, parameters)
        return cursor

    def executescript(self, sql_script: str, /) -> Cursor:
        """Run all statements of a script."""
        cursor: Cursor = self.cursor().executescript(sql_script)
        return cursor

    def commit(self) -> None:
        """Commit the open transaction, if there is one; durable on return."""
        self.require_open()
        if self._autocommit is not True:
            self._settle(self._opened.commit)

    def rollback(self) -> None:
        """Take the open transaction back, if there is one."""
        self.require_open()
        if self._autocommit is not True:
            self._settle(self._opened.rollback)

    def changes(self, **wanted: Any) -> FollowedChanges:
        """Every committed change, live: the options are those of `nexus.changes`.

        Raises NotSupportedError where the place of this connection has no such feed.
        """
        self.require_open()
        session = self._opened.session
        if not isinstance(session, ChangesSource):
            raise NotSupportedError(
                "this connection has no change feed; read it with nexus.changes(URL)"
            )
        try:
            return FollowedChanges(session.changes(Wanted(**wanted)))
        except NexusError as error:
            raise translated(error) from error

    def iterdump(self) -> Iterator[str]:
        """The database as SQL: statements that make it anew elsewhere."""
        self.require_open()
        return dumped(lambda sql: Cursor(self).execute(sql))

    def interrupt(self) -> None:
        """End the statement that runs, with OperationalError; from any thread."""
        self._opened.session.interrupt()

    def close(self) -> None:
        """Take back what is not committed; the connection is of no use afterwards."""
        self._require_thread()
        control, self._control = self._control, None
        if control is not None:
            try:
                control.session.close()
            except NexusError as error:
                raise translated(error) from error

    def run(self, plan: Plan, statement: Statement) -> Result:
        """What a cursor runs, after this connection has begun what it must."""
        control = self._opened
        try:
            if plan.kind is StatementKind.READ and control.is_idle:
                return control.session.read(statement)
            if (
                plan.changes_rows
                and self._isolation_level is not None
                and self._autocommit == LEGACY_TRANSACTION_CONTROL
            ):
                return control.run_changing(plan, statement)
            return control.run(plan, statement)
        except NexusError as error:
            raise translated(error) from error
        finally:
            if self._autocommit is False:
                control.begin()

    def run_script(self, plans: Sequence[Plan]) -> None:
        """What a cursor runs of a script."""
        control = self._opened
        try:
            if self._autocommit == LEGACY_TRANSACTION_CONTROL:
                control.commit()
            control.run_script(plans)
        except NexusError as error:
            raise translated(error) from error
        finally:
            self._begin_if_always()

    def require_open(self) -> Control:
        """What runs; raises ProgrammingError once closed, and in another thread."""
        if self._thread is not None and self._thread != get_ident():
            self._require_thread()
        control = self._control
        if control is None:
            raise ProgrammingError("Cannot operate on a closed database.")
        return control

    def __enter__(self) -> Self:
        _ = self._opened
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> Literal[False]:
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return False

    def __call__(self, sql: str, /) -> Plan:
        """The statement's plan, as sqlite3 gives a statement; raises what that does."""
        self.require_open()
        if not isinstance(sql, str):
            raise TypeError(f"argument 1 must be str, not {type(sql).__name__}")
        return plan_for(sql)

    @override
    def __reduce__(self) -> Any:
        raise TypeError(
            "cannot pickle or copy a connection: it belongs to this process, and to "
            "one user at a time; connect where another one is needed"
        )

    def __del__(self) -> None:
        control = getattr(self, "_control", None)
        if control is not None:
            self._control = None
            if sys.is_finalizing():
                return  # no other thread runs any more: a node here would not answer
            with contextlib.suppress(Exception):  # nobody is there to be told
                control.session.close()

    @property
    def _opened(self) -> Control:
        control = self._control
        if control is None:
            raise ProgrammingError("Cannot operate on a closed database.")
        return control

    def _require_thread(self) -> None:
        owner = self._thread
        if owner == _UNMADE:
            raise ProgrammingError("Base Connection.__init__ not called.")
        if owner is not None and owner != get_ident():
            raise ProgrammingError(
                "A connection can only be used in the thread that made it: that was "
                f"{owner}, this is {get_ident()}; connect in each thread, "
                "or with check_same_thread=False"
            )

    def _settle(self, end: Callable[[], None]) -> None:
        try:
            end()
        except NexusError as error:
            raise translated(error) from error
        finally:
            self._begin_if_always()

    def _begin_if_always(self) -> None:
        if self._autocommit is False:
            self._opened.begin()


def _level(level: str | None) -> str | None:
    if level is None:
        return None
    if not isinstance(level, str):
        raise TypeError("isolation_level must be str or None")
    if level.upper() not in _LEVELS:
        raise ValueError(
            "isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'"
        )
    return level.upper()


def _require_mode(autocommit: object) -> None:
    if autocommit not in (True, False, LEGACY_TRANSACTION_CONTROL):  # 1, 0, -1
        raise ValueError(
            "autocommit must be True, False, or nexus.LEGACY_TRANSACTION_CONTROL"
        )
