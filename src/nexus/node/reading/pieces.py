"""Queries whose rows leave in pieces, when their reader asks for them.

A piece is bounded in bytes and rows, and nothing is read ahead: a client that stops
reading costs one piece of memory, and one reader until its time is up.
"""

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import apsw

from nexus.errors import NexusError, ProtocolError, StatementError
from nexus.errors.sqlite import interrupted
from nexus.node.reading.querying import FAILURES, failure_of
from nexus.protocol.calls import Done, Rows
from nexus.protocol.codec import encode
from nexus.storage.capturing.results import Statement, StatementResult
from nexus.storage.database import Database
from nexus.storage.sqlite.complaints import statement_error
from nexus.storage.sqlite.connections import execute

PIECE_BYTES: Final = 256 << 10
"""About so many bytes of rows are sent before their reader asks for more."""

LOOK_EVERY: Final = 10_000
"""SQLite operations between two looks whether a query was cancelled."""

UNCOUNTED: Final = (-1, 0)
"""What a query counts."""

Row = tuple[Any, ...]


@dataclass(slots=True)
class Room:
    """What the piece that is being filled has room for."""

    most_rows: int = 0
    """0: any number."""
    rows: int = 0
    size_bytes: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the piece is to be sent."""
        return self.size_bytes >= PIECE_BYTES or 0 < self.most_rows <= self.rows

    def empty(self) -> None:
        """A new piece begins."""
        self.rows = self.size_bytes = 0

    def take(self, rows: Iterator[Row]) -> tuple[list[Row], bool]:
        """As many as there is room for, and whether there may be more."""
        taken: list[Row] = []
        for row in rows:
            taken.append(row)
            self.rows += 1
            self.size_bytes += 9 * len(row)
            for value in row:
                if isinstance(value, str | bytes):
                    self.size_bytes += len(value)
            if self.is_full:
                return taken, True
        return taken, False


@dataclass(frozen=True, slots=True)
class Answered:
    """What one query gives, as far as it has been read."""

    columns: tuple[str, ...]
    decltypes: tuple[str | None, ...]
    rows: Iterator[Row]


Pieces = Generator[bytes, None, bytes]
"""What there is before more is asked for; it returns the last piece."""


def pieces(
    request_id: int, answers: Iterable[Answered], room: Room, done: Done
) -> Pieces:
    """The frames of each piece; the last one ends with the frame of `done`."""
    frames: list[bytes] = []
    for index, answer in enumerate(answers):
        columns, decltypes = answer.columns, answer.decltypes
        more = bool(columns)
        while more:
            rows, more = room.take(answer.rows)
            piece = Rows(request_id, index, columns, rows, more, decltypes)
            frames.append(_framed(piece))
            columns, decltypes = (), ()
            if more:
                yield b"".join(frames)
                frames.clear()
                room.empty()
    frames.append(encode(done))
    return b"".join(frames)


def next_of(found: Pieces, room: Room, most_rows: int) -> tuple[bytes, bool]:
    """The next piece, of so many rows at most, and whether there are more."""
    room.most_rows = most_rows
    try:
        return next(found), True
    except StopIteration as end:
        return end.value, False


def answered(results: Sequence[StatementResult]) -> Iterator[Answered]:
    """Results that are there already."""
    for result in results:
        yield Answered(result.columns, result.decltypes, iter(result.rows))


class Reading:
    """Queries of one request, on one snapshot; any thread may cancel them."""

    def __init__(
        self,
        database: Database,
        statements: Sequence[Statement],
        *,
        request_id: int,
    ) -> None:
        self._database = database
        self._statements = statements
        self._room = Room()
        self._lock = threading.Lock()
        self._reader: apsw.Connection | None = None
        """While it is lent, and not a moment longer: the next one's is not ours."""
        self._cancelled = False
        done = Done(request_id, (UNCOUNTED,) * len(statements))
        self._pieces = self._run(request_id, done)
        self._at_work = threading.Lock()

    def next_piece(self, most_rows: int) -> tuple[bytes, bool]:
        """The next frames, and whether there are more; blocks.

        Raises StatementError, and NodeStoppedError where the node stops meanwhile.
        """
        with self._at_work:
            return next_of(self._pieces, self._room, most_rows)

    def cancel(self) -> None:
        """Interrupt the query that runs, with an error for who waits."""
        with self._lock:
            self._cancelled = True
            if self._reader is not None:
                self._reader.interrupt()

    def close(self) -> None:
        """Give the reader back, once `next_piece` has ended; blocks."""
        with self._at_work:
            self._pieces.close()

    def _run(self, request_id: int, done: Done) -> Pieces:
        with self._database.reader() as reader:
            # An interrupt between two statements ends neither: this looks again.
            reader.set_progress_handler(lambda: self._cancelled, LOOK_EVERY)
            with self._lock:
                self._reader = reader
            reader.execute("begin")
            try:
                # Closed first: while a cursor is open an interrupt would end the
                # rollback as well.
                with closing(self._answers(reader)) as answers:
                    return (yield from pieces(request_id, answers, self._room, done))
            finally:
                with self._lock:
                    self._reader = None
                reader.set_progress_handler(None)
                reader.execute("rollback")

    def _answers(self, reader: apsw.Connection) -> Generator[Answered, None, None]:
        for index, statement in enumerate(self._statements):
            cursor = reader.cursor()
            try:
                if self._cancelled:
                    raise interrupted(index)
                columns = execute(cursor, statement.sql, statement.params)
                rows = self._rows(cursor, index)
                names = tuple(name for name, _ in columns)
                yield Answered(names, tuple(kind for _, kind in columns), rows)
            except FAILURES as error:
                raise self._told(error, index) from error
            finally:
                cursor.close(force=True)

    def _rows(self, cursor: apsw.Cursor, index: int) -> Iterator[Row]:
        try:
            yield from cursor
        except FAILURES as error:
            raise self._told(error, index) from error

    def _told(self, error: Exception, index: int) -> NexusError:
        if isinstance(error, apsw.InterruptError) and self._cancelled:
            return statement_error(error, index)
        return failure_of(error, index)


def _framed(piece: Rows) -> bytes:
    try:
        return encode(piece)
    except ProtocolError as error:
        raise StatementError(
            f"a row is too large for one frame ({error}); read parts of its values, "
            "with substr()",
            index=piece.index,
        ) from error
