"""Requests of one session and their answers, whichever node they go to."""

from collections.abc import Sequence
from typing import Final

from nexus.client.link import Link
from nexus.client.rest import RestOfRows, Waiting
from nexus.client.session import TOO_BIG, Result, Statement
from nexus.errors import ProtocolError, StatementError
from nexus.model.position import NO_OFFSET, Offset, Position
from nexus.model.statements import StatementKind, classify
from nexus.protocol.calls import ALONE, Done, Execute, Failed, Fetch, Query, Rows
from nexus.protocol.failures import error_of
from nexus.protocol.messages import Message


class Exchange:
    """One request at a time, but for rows that are still to be read."""

    def __init__(self) -> None:
        self.last_position: Position | None = None
        """Of the last write that was answered."""
        self.ended = False
        """Whether the last error ended the interactive transaction."""
        self._last_id = 0
        self._waiting = Waiting()

    def new_id(self) -> int:
        """Of a request that is about to be made."""
        self._last_id += 1
        return self._last_id

    def execute(
        self,
        link: Link,
        statements: Sequence[Statement],
        min_offset: Offset = NO_OFFSET,
        *,
        within: int = ALONE,
        transaction_id: str = "",
        foreign_keys: bool = True,
    ) -> list[Result]:
        """Run statements; the rows of a single query come when they are iterated.

        Raises LinkLostError, or the node's error.
        """
        request_id = self.new_id()
        asked = Execute(
            request_id,
            tuple(map(_query, statements)),
            within,
            transaction_id,
            min_offset,
            foreign_keys=foreign_keys,
        )
        is_query = len(statements) == 1 and classify(statements[0].sql) in _QUERIES
        found = [Result() for _ in statements]
        self._waiting.request = (link, request_id)
        try:
            self._ask(link, request_id, asked)
            while isinstance(piece := self._next(link, request_id), Rows):
                if piece.more and is_query:
                    rows = RestOfRows(link, request_id, piece, self._waiting)
                    return [Result(piece.columns, rows, -1, 0, piece.decltypes)]
                found[piece.index] = _with_more(found[piece.index], piece)
                if piece.more:
                    link.say(Fetch(request_id))
        finally:
            self._waiting.request = None
        self.remember(piece)
        return [
            Result(result.columns, result.rows, affected, rowid, result.decltypes)
            for result, (affected, rowid) in zip(found, piece.counts, strict=True)
        ]

    def done(self, link: Link, request_id: int, request: Message) -> Done:
        """Ask for what has no rows; raises LinkLostError, or the node's error."""
        self._waiting.request = (link, request_id)
        try:
            self._ask(link, request_id, request)
            answer = self._next(link, request_id)
        finally:
            self._waiting.request = None
        assert isinstance(answer, Done), "it has no rows"
        return answer

    def interrupt(self) -> None:
        """Have end what is waited for, with an error; from any thread."""
        self._waiting.interrupt()

    def remember(self, done: Done) -> None:
        """What was written, if anything was, stands at this place."""
        if done.offset:
            self.last_position = Position(done.epoch, done.offset, done.history_id)

    def _ask(self, link: Link, request_id: int, request: Message) -> None:
        self.ended = False
        try:
            link.ask(request_id, request)
        except ProtocolError as error:
            raise StatementError(
                "the statement and its parameters are too large for one request "
                f"({error}); send them in parts",
                sqlite_errorcode=TOO_BIG,
            ) from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise StatementError(str(error)) from error

    def _next(self, link: Link, request_id: int) -> Rows | Done:
        answer = link.answer(request_id)
        if isinstance(answer, Failed):
            self.ended = answer.ended
            raise error_of(answer)
        return answer


_QUERIES: Final = (StatementKind.READ, StatementKind.PRAGMA)


def _with_more(before: Result, piece: Rows) -> Result:
    return Result(
        piece.columns or before.columns,
        iter([*before.rows, *piece.rows]),
        decltypes=piece.decltypes or before.decltypes,
    )


def _query(statement: Statement) -> Query:
    if statement.many is not None:
        return Query(statement.sql, many=[list(params) for params in statement.many])
    return Query(statement.sql, list(statement.params))
