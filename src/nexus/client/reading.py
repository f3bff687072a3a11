"""Read a database file with this process's own SQLite, and never write to it."""

import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import apsw

from nexus.client.forks import forks, opened_before
from nexus.client.session import Result, Row, Statement
from nexus.errors import NoDatabaseError, StatementError

BUSY_TIMEOUT_MS: Final = 5_000
CACHED_STATEMENTS: Final = 256

CLOSING_TRIES: Final = 5_000
CLOSING_PAUSE_S: Final = 0.001
"""An interrupted query lets go within milliseconds."""

MOST_READERS: Final = 16
"""Results that stand half read: of more, the oldest is read to its end into memory."""

MOST_SHAPES: Final = 1_024

_READ_SCHEMA: Final = "select 1 from sqlite_schema limit 0"
"""PRAGMAs that tell of the schema answer from memory, however old: SQLite looks whether
it still is so only where a statement begins to read the file."""

Shape = tuple[tuple[str, ...], tuple[str | None, ...]]
"""The columns' names, and the types that their tables declare."""

_FETCHING: Final = (apsw.Error, UnicodeDecodeError)


class Reader:
    """Queries one file, for one thread at a time; each query sees the last commit."""

    def __init__(self, path: Path) -> None:
        """Raises NoDatabaseError where there is no file that can be read."""
        self._path = path
        self._forks = forks.count
        self._all: list[apsw.Connection] = []
        self._unread: list[weakref.ref[Unread]] = []
        self._shapes: dict[Any, Shape] = {}
        self._held: apsw.Cursor | None = None
        """In a transaction of reads: every query sees the state of its beginning."""
        self._idle = [self._open()]

    def read(self, statement: Statement) -> Result:
        """Run a query; of many rows the later ones are read as they are asked for."""
        if self._forks != forks.count:
            raise opened_before()
        if self._held is not None:
            return self._read_held(self._held, statement)
        idle = self._idle
        cursor = idle.pop() if idle else self._another()
        try:
            if "pragma" in statement.sql.lower():
                cursor.execute(_READ_SCHEMA)
            cursor.execute(statement.sql, statement.params)
            row = next(cursor, None)
            if row is None:
                names, decltypes = self._shape(_described(cursor, statement))
                rows: Iterator[Row] = iter(())
            else:
                names, decltypes = self._shape(cursor.get_description())
                second = next(cursor, None)
                if second is not None:
                    unread = Unread(self, cursor, [second, row])
                    self._unread.append(weakref.ref(unread))
                    return Result(names, unread, -1, 0, decltypes)
                rows = iter((row,))
        except _FETCHING as error:
            self.take_back(cursor)
            raise told(error) from error
        idle.append(cursor)
        return Result(names, rows, -1, 0, decltypes)

    def hold(self) -> None:
        """Answer from the state as of the next query, until `let_go`."""
        self._held = self._idle.pop() if self._idle else self._another()
        self._held.execute("begin")

    def let_go(self) -> None:
        """See the last commit again."""
        held, self._held = self._held, None
        if held is not None:
            held.execute("rollback")
            self._idle.append(held)

    def take_back(self, cursor: apsw.Cursor) -> None:
        """A result is of no more interest: it holds no state of the file any longer."""
        with suppress(apsw.Error):  # of the statement that it leaves
            cursor.execute("")
        self._idle.append(cursor)

    def interrupt(self) -> None:
        """End the queries that run; from any thread."""
        for reader in self._all:
            reader.interrupt()

    def close(self) -> None:
        """Close the file, whatever reads it; in a child after fork() touch nothing."""
        if self._forks == forks.count:
            for reader in self._all:
                _close(reader)

    def _read_held(self, cursor: apsw.Cursor, statement: Statement) -> Result:
        """All rows of a query: the state may be let go before they are asked for."""
        try:
            cursor.execute(statement.sql, statement.params)
            row = next(cursor, None)
            if row is None:
                names, decltypes = self._shape(_described(cursor, statement))
                return Result(names, iter(()), -1, 0, decltypes)
            names, decltypes = self._shape(cursor.get_description())
            return Result(names, iter([row, *cursor]), -1, 0, decltypes)
        except _FETCHING as error:
            with suppress(apsw.Error):
                cursor.execute("")
            raise told(error) from error

    def _another(self) -> apsw.Cursor:
        """A cursor of another connection, beside those that are half read."""
        open_still = [each for each in map(_called, self._unread) if each is not None]
        if len(self._all) < MOST_READERS:
            cursor = self._open()
        else:
            open_still.pop(0).gather()
            cursor = self._idle.pop()
        self._unread = [weakref.ref(each) for each in open_still if not each.is_over]
        return cursor

    def _open(self) -> apsw.Cursor:
        try:
            reader = apsw.Connection(
                str(self._path),
                flags=apsw.SQLITE_OPEN_READONLY,
                statementcachesize=CACHED_STATEMENTS,
            )
            reader.set_busy_timeout(BUSY_TIMEOUT_MS)
            reader.pragma("schema_version")  # a file that is none shows itself now
        except apsw.Error as error:
            raise NoDatabaseError(
                f"{self._path} cannot be read: {error}; is its directory a node's, and "
                "has the node been started once?"
            ) from error
        self._all.append(reader)
        return reader.cursor()

    def _shape(self, description: Any) -> Shape:
        shape = self._shapes.get(description)
        if shape is None:
            if len(self._shapes) >= MOST_SHAPES:
                self._shapes.clear()
            shape = (
                tuple([name for name, _ in description]),
                tuple([declared for _, declared in description]),
            )
            self._shapes[description] = shape
        return shape


class Unread:
    """The rows of a query, the next one always at hand: so its end is seen at once."""

    def __init__(
        self, owner: Reader, cursor: apsw.Cursor, backwards: list[Row]
    ) -> None:
        self._owner = owner
        self._cursor: apsw.Cursor | None = cursor
        self._ahead = backwards
        """Rows that were read already, the next one last."""
        self._failure: StatementError | None = None
        """What ended the reading; told when the rows before it are."""

    @property
    def is_over(self) -> bool:
        """Whether the file is read no more for it."""
        return self._cursor is None

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        if not self._ahead:
            if self._failure is not None:
                raise self._failure
            raise StopIteration
        row = self._ahead.pop()
        if not self._ahead and self._cursor is not None:
            try:
                following = next(self._cursor, None)
            except _FETCHING as error:
                self._fail(error)
                return row
            if following is None:
                self._let_go()
            else:
                self._ahead.append(following)
        return row

    def gather(self) -> None:
        """Read all that is left into memory, and let go of the file."""
        if self._cursor is not None:
            try:
                left: list[Any] = self._cursor.fetchall()
            except _FETCHING as error:
                self._fail(error)
            else:
                self._ahead = [*left[::-1], *self._ahead]
                self._let_go()

    def close(self) -> None:
        """Forget what is left."""
        self._ahead.clear()
        self._let_go()

    def __del__(self) -> None:
        self.close()

    def _fail(self, error: Exception) -> None:
        self._failure = told(error)
        self._let_go()

    def _let_go(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            self._owner.take_back(cursor)


def _close(reader: apsw.Connection) -> None:
    """Close it; a query that another thread runs with it is interrupted first."""
    for _ in range(CLOSING_TRIES):
        try:
            reader.close(force=True)
        except apsw.ThreadingViolationError:
            reader.interrupt()
            time.sleep(CLOSING_PAUSE_S)
        else:
            return


def told(error: Exception) -> StatementError:
    """SQLite's or Python's error about a query as one of ours."""
    if isinstance(error, UnicodeDecodeError):
        return StatementError(
            f"a text that was read is not UTF-8 ({error}); read it as bytes, with "
            "CAST(column AS BLOB)"
        )
    code = getattr(error, "extendedresult", None)
    return StatementError(str(error), sqlite_errorcode=code)


def _called(reference: "weakref.ref[Unread]") -> Unread | None:
    unread = reference()
    return None if unread is None or unread.is_over else unread


def _described(cursor: apsw.Cursor, statement: Statement) -> Any:
    """The columns of a query that gave no row, and so has forgotten them."""
    found: list[Any] = []

    def look(cursor: apsw.Cursor, _: str, __: Any) -> bool:
        found.append(cursor.get_description())
        return False

    cursor.exec_trace = look
    try:
        cursor.execute(statement.sql, statement.params)
    except apsw.ExecTraceAbort:
        return found[0]
    finally:
        cursor.exec_trace = None
    return ()
