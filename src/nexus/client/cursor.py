"""The cursor of PEP 249, as sqlite3's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import index
from typing import Any, Final, Protocol, Self

from typing_extensions import override

from nexus.client.control import Control
from nexus.client.converters import converter_for, shown_name, to_bytes
from nexus.client.exceptions import ProgrammingError, translated
from nexus.client.parameters import Plan, bind, bind_all, plan_for
from nexus.client.session import Result, Row, Statement
from nexus.errors import NexusError
from nexus.model.pragmas import setting_of
from nexus.model.statements import CONTROL, StatementKind, split

Description = tuple[tuple[str, None, None, None, None, None, None], ...]

_NOTHING: Final = Result()

_CHANGES_NOTHING: Final = CONTROL | {StatementKind.READ}
"""Kinds that SQLite itself calls read-only."""


class Owner(Protocol):
    """What a cursor needs of its connection."""

    row_factory: Callable[[Any, Any], Any] | None
    text_factory: Callable[[bytes], Any]
    detect_types: int

    def require_open(self) -> Control:
        """What runs; raises ProgrammingError once closed, and in another thread."""

    def run(self, plan: Plan, statement: Statement) -> Result:
        """Run one statement; raises Error."""

    def run_script(self, plans: Sequence[Plan]) -> None:
        """Run a script; raises Error."""


class Cursor:
    """Runs statements of one connection, and holds the rows of the last one."""

    arraysize = 1
    """How many rows `fetchmany` gives unless it is told."""

    # Of a new cursor: most are made for one query, and set few of these.
    _closed = False
    _locked = False
    _rowcount = -1
    _lastrowid: int | None = None
    _result: Result = _NOTHING
    _rows: Iterator[Row] = iter(())
    _description: Description | None = None
    _shape: Callable[[Row], Row] | None = None

    def __init__(self, connection: Any, /) -> None:
        self._connection: Owner = connection
        self.row_factory: Callable[[Any, Any], Any] | None = connection.row_factory

    @property
    def connection(self) -> Any:
        """The connection that it belongs to."""
        return self._connection

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed; -1 where none can."""
        return self._rowcount

    @property
    def lastrowid(self) -> int | None:
        """The rowid of the connection's last inserted row, as of the last `execute`."""
        return self._lastrowid

    @property
    def description(self) -> Description | None:
        """A 7-tuple for each column, of which only the name is known."""
        if self._description is None and self._result is not _NOTHING:
            detect_types = self._connection.detect_types
            self._description = tuple(
                [
                    (shown_name(name, detect_types), None, None, None, None, None, None)
                    for name in self._result.columns
                ]
            )
        return self._description or None

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        """Run one statement."""
        control = self._require_open()
        if not isinstance(sql, str):
            raise _no_text("execute() argument 1", sql)
        if self._result is not _NOTHING:
            self._forget()
        connection = self._connection
        plan = plan_for(sql)
        result = connection.run(plan, Statement(sql, bind(plan, parameters)))
        if plan.changes_rows:
            self._rowcount = result.rows_affected
        self._lastrowid = control.last_insert_rowid
        self._result = result
        self._rows = result.rows
        if connection.detect_types or connection.text_factory is not str:
            self._shape = _shape_of(connection, result)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        """Run one statement that changes rows for each set of parameters, or not once.

        Either all of them take effect or none.
        """
        self._require_open()
        if not isinstance(sql, str):
            raise _no_text("executemany() argument 1", sql)
        self._forget()
        plan = plan_for(sql)
        if plan.kind in _CHANGES_NOTHING or (
            plan.kind is StatementKind.PRAGMA and not setting_of(sql)[1]
        ):
            raise ProgrammingError("executemany() can only execute DML statements.")
        self._locked = True
        try:
            many = bind_all(plan, parameters)
        finally:
            self._locked = False
        if plan.kind is StatementKind.WRITE:
            result = self._connection.run(plan, Statement(sql, many=many))
            if plan.changes_rows:
                self._rowcount = max(result.rows_affected, 0)
        else:
            self._run_each(plan, many)
        return self

    def executescript(self, sql_script: str, /) -> Self:
        """Run all statements of a script; without control in it, as one transaction.

        In legacy transaction control an open transaction is committed first.
        """
        self._require_open()
        if not isinstance(sql_script, str):
            raise _no_text("executescript() argument", sql_script)
        self._forget()
        sql_script.encode()
        if "\0" in sql_script:
            raise ValueError("embedded null character")
        self._connection.run_script([plan_for(part) for part in split(sql_script)])
        return self

    def fetchone(self) -> Any:
        """The next row, or None."""
        self._require_open()
        try:
            row: Any = next(self._rows, None)
        except NexusError as error:
            raise translated(error) from error
        if row is None or (self._shape is None and self.row_factory is None):
            return row
        return self._made(row)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next `size` rows, `arraysize` unless given; all where that is below 1."""
        self._require_open()
        wanted = self.arraysize if size is None else index(size)
        return list(islice(self, wanted) if wanted > 0 else self)

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        self._require_open()
        if self._shape is None and self.row_factory is None:
            try:
                return list(self._rows)
            except NexusError as error:
                raise translated(error) from error
        return list(self)

    def setinputsizes(self, sizes: Sequence[object], /) -> None:
        """Does nothing, as PEP 249 permits."""

    def setoutputsize(self, size: int, column: int | None = None, /) -> None:
        """Does nothing, as PEP 249 permits."""

    def close(self) -> None:
        """Forget the rows; the cursor is of no use afterwards."""
        self._connection.require_open()
        if self._locked:
            raise ProgrammingError("Recursive use of cursors not allowed.")
        self._forget()
        self._closed = True

    @override
    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle or copy a cursor: its rows are read but once")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self._require_open()
        try:
            row = next(self._rows)
        except NexusError as error:
            raise translated(error) from error
        return self._made(row)

    def _made(self, row: Row) -> Any:
        """A row as the program wants it."""
        if self._shape is not None:
            row = self._shape(row)
        return row if self.row_factory is None else self.row_factory(self, row)

    def _require_open(self) -> Control:
        try:
            control = self._connection.require_open()
        except AttributeError:
            raise ProgrammingError("Base Cursor.__init__ not called.") from None
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed cursor.")
        if self._locked:
            raise ProgrammingError("Recursive use of cursors not allowed.")
        return control

    def _forget(self) -> None:
        """Let go of the last statement, and of its rows."""
        close = getattr(self._rows, "close", None)
        if close is not None:
            close()
        self._rows = iter(())
        self._result = _NOTHING
        self._description = None
        self._shape = None
        self._rowcount = -1

    def _run_each(self, plan: Plan, many: Sequence[Row]) -> None:
        for params in many:
            self._connection.run(plan, Statement(plan.sql, params))


def _shape_of(connection: Owner, result: Result) -> Callable[[Row], Row]:
    """What turns SQLite's values into those that the connection asked for."""
    text_factory, detect_types = connection.text_factory, connection.detect_types
    decltypes = result.decltypes or (None,) * len(result.columns)
    readers = [
        converter_for(name, decltype, detect_types)
        for name, decltype in zip(result.columns, decltypes, strict=True)
    ]

    def shape(row: Row) -> Row:
        values: list[Any] = list(row)
        for place, value in enumerate(row):
            reader = readers[place]
            if reader is not None:
                written = to_bytes(value)
                values[place] = None if written is None else reader(written)
            elif text_factory is not str and isinstance(value, str):
                values[place] = text_factory(value.encode())
        return tuple(values)

    return shape


def _no_text(what: str, given: object) -> TypeError:
    return TypeError(f"{what} must be str, not {type(given).__name__}")
