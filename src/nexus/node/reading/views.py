"""States of the database that clients go on reading, each with a reader of its own.

The pool of readers serves what is read at once: a client that reads for longer, or at
its own pace, would keep one from the others.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import apsw
import apsw.ext
import msgspec

from nexus.errors import DatabaseBusyError
from nexus.model.position import Offset
from nexus.node.reading.querying import FAILURES, failure_of, query, stopping
from nexus.storage.capturing.results import Statement, StatementResult
from nexus.storage.database import Database
from nexus.storage.schema.system import read_position
from nexus.storage.sqlite.complaints import statement_error
from nexus.storage.sqlite.connections import (
    INTERRUPT_EVERY_S,
    Column,
    execute,
    size_of,
)

MOST_VIEWS: Final = 64
"""Each has a connection, and holds back what checkpoints may move."""

PIECE_BYTES: Final = 256 << 10
"""What is read of a long answer at once."""

Row = tuple[Any, ...]


class View:
    """The database as it stood once; its methods block, one thread at a time.

    They raise StatementError, and NodeStoppedError where the node stops meanwhile.
    """

    def __init__(self, database: Database) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._rows: Iterator[Row] = iter(())
        self._stack = ExitStack()
        with ExitStack() as opening:
            self._reader = opening.enter_context(database.extra_reader())
            self._reader.execute("begin")
            self.offset: Offset = read_position(self._reader).offset
            """The last entry that is in it."""
            self._stack = opening.pop_all()

    def query(self, statement: Statement) -> StatementResult:
        """All rows of a query."""
        with self._lock:
            self._require_open()
            return query(self._reader, statement)

    def open(self, statement: Statement) -> list[Column]:
        """Begin a query whose rows `next_rows` gives; its columns."""
        with self._lock:
            self._require_open()
            cursor = self._reader.cursor()
            try:
                columns = execute(cursor, statement.sql, statement.params)
            except FAILURES as error:
                raise failure_of(error) from error
            self._rows = cursor
        return columns

    def next_rows(self) -> list[Row]:
        """The next rows, PIECE_BYTES or a little more; none at the end."""
        rows: list[Row] = []
        size = 0
        with self._lock:
            self._require_open()
            try:
                for row in self._rows:
                    rows.append(row)
                    size += size_of(row)
                    if size >= PIECE_BYTES:
                        break
            except FAILURES as error:
                raise failure_of(error) from error
        return rows

    def interrupt(self) -> None:
        """End the query that runs; from any thread."""
        if not self._closed:
            self._reader.interrupt()

    def close(self) -> None:
        """Give the state up; what runs, or is about to, is interrupted."""
        self.interrupt()
        while not self._lock.acquire(timeout=INTERRUPT_EVERY_S):
            self.interrupt()
        try:
            self._closed = True
            self._stack.close()
        finally:
            self._lock.release()

    def _require_open(self) -> None:
        if self._closed:
            raise stopping()


class Views:
    """All views of one node; from any thread."""

    def __init__(self, database: Database, *, most: int = MOST_VIEWS) -> None:
        self._database = database
        self._most = most
        self._lock = threading.Lock()
        self._open: set[View] = set()
        self._count = 0
        self._closed = False

    def open(self) -> View:
        """The database as it stands now; blocks.

        Raises DatabaseBusyError where there are too many, NodeStoppedError,
        NoDatabaseError.
        """
        with self._lock:
            if self._closed:
                raise stopping()
            if self._count >= self._most:
                raise DatabaseBusyError(
                    f"{self._most} clients read within transactions or cursors here; "
                    "nothing happened, try again or read on another node"
                )
            self._count += 1
        try:
            view = View(self._database)
        except BaseException:
            self._count_down()
            raise
        with self._lock:
            self._open.add(view)
        return view

    def give_up(self, view: View) -> None:
        """This view is needed no more; blocks until what it runs has ended."""
        with self._lock:
            was_open = view in self._open
            self._open.discard(view)
        view.close()
        if was_open:
            self._count_down()

    def query(self, statement: Statement) -> StatementResult:
        """All rows of a query on the database as it stands now."""
        with self._database.reader() as reader:
            return query(reader, statement)

    def describe(self, sql: str) -> "Description":
        """What a statement takes and gives, without running it; StatementError."""
        with self._database.reader() as reader:
            return _describe(reader, sql)

    def close(self) -> None:
        """Give all of them up, and open no more."""
        with self._lock:
            self._closed = True
            views = list(self._open)
        for view in views:
            self.give_up(view)

    def _count_down(self) -> None:
        with self._lock:
            self._count -= 1


class Description(msgspec.Struct, frozen=True):
    """A statement as SQLite understands it."""

    columns: tuple[Column, ...]
    is_explain: bool
    is_readonly: bool


def _describe(reader: apsw.Connection, sql: str) -> Description:
    try:
        found = apsw.ext.query_info(reader, sql)
    except apsw.Error as error:
        raise statement_error(error, 0) from error
    return Description(
        tuple(found.description), bool(found.is_explain), found.is_readonly
    )
