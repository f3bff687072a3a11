"""One client's connection: what it asks, at the pace at which it reads the answers.

Writes that come in one turn of the loop share a batch, whosever they are. Nothing grows
with what a client sends or leaves unread: requests under way, queries that run at once
and bytes that wait for it are bounded, and beyond that it is not listened to.
"""

import asyncio
from typing import Final, Protocol, assert_never

import structlog
from structlog.contextvars import get_contextvars
from typing_extensions import override

from nexus.config import split_address
from nexus.errors import ForbiddenError, NexusError, ProtocolError, RequestError
from nexus.model.pragmas import PragmaUse, read_pragma
from nexus.model.statements import StatementKind, classify, is_vacuum
from nexus.model.token import LET_IN_NO_MORE, Principal, TokenRole
from nexus.node.clients.delivery import Delivery, ReaderHost
from nexus.node.clients.pending import PendingRequests
from nexus.node.clients.tenure import Tenure, WriterHost, bound, placed
from nexus.node.reading.pieces import Reading
from nexus.node.writing.jobs import Job
from nexus.node.writing.work import Answer, Transaction
from nexus.protocol.calls import (
    Begin,
    Cancel,
    Commit,
    Done,
    Execute,
    Fetch,
    Recall,
    Rollback,
)
from nexus.protocol.codec import Decoder, encode
from nexus.protocol.failures import failed_of
from nexus.protocol.messages import Error, ErrorCode, Message, Ping, Pong
from nexus.storage.capturing.results import Statement, StatementResult

MOST_REQUESTS: Final = 1_024
"""Under way for one client; then it is not listened to until half of them are done."""

WRITE_BUFFER_BYTES: Final = 1 << 20
"""Bytes that may wait for the client beside what the system has taken."""

STUCK_S: Final = 60.0
"""A client that reads nothing for so long is cut off."""

_READ: Final = StatementKind.READ
_PRAGMA: Final = StatementKind.PRAGMA

log = structlog.get_logger(__name__)


class CallerHost(WriterHost, ReaderHost, Protocol):
    """What a client's connection needs of its node."""

    async def reach(self, asked: Execute) -> None:
        """Return once this node holds what the query must see; raises why it won't."""

    def reading(self, statements: list[Statement], request_id: int) -> Reading:
        """These queries, on a snapshot of their own."""

    async def vacuum(self) -> None:
        """Rewrite the database file, between two batches."""

    async def recall(self, asked: Recall) -> Done:
        """What became of a transaction id."""

    def spend(self, asked: Execute, principal: Principal, address: str) -> None:
        """One more request; raises RateLimitedError or RequestError for too much."""

    def still_admits(self, principal: Principal) -> bool:
        """Whether who has attached before would be let in now."""


class Caller(asyncio.Protocol):
    """A client that is attached; for the loop of its node."""

    def __init__(
        self, host: CallerHost, principal: Principal, name: str, decoder: Decoder
    ) -> None:
        """`name` is its `HOST:PORT`."""
        self.ended = asyncio.Event()
        # What its transport calls is called in the port's context, not this database's.
        self._log = log.bind(**get_contextvars())
        self._host = host
        self._principal = principal
        self._may_write = principal.role.covers(TokenRole.WRITE)
        self._name = name
        self.address = split_address(name)[0]
        self._decoder = decoder
        self._loop = asyncio.get_running_loop()
        self._tenure = Tenure(host)
        self._delivery = Delivery(host, self._send)
        self._requests = PendingRequests(self._tenure, self._send, self._listen)
        self._stuck: asyncio.TimerHandle | None = None
        self._listening = True
        self._former: asyncio.BaseProtocol | None = None

    def take_over(self, transport: asyncio.Transport) -> None:
        """From now on what comes is a request."""
        self._transport = transport
        self._former = transport.get_protocol()
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        transport.set_protocol(self)

    def refuse(self, code: ErrorCode, reason: str) -> None:
        """Say why, then close."""
        self._send(encode(Error(code, reason)))
        self._transport.close()

    def leave_if_unwelcome(self) -> bool:
        """Say so and close, if its token is good no more; whether that is so."""
        if self._host.still_admits(self._principal):
            return False
        self.refuse(ErrorCode.UNAUTHORISED, LET_IN_NO_MORE)
        return True

    # --- What the transport calls -----------------------------------------------------

    @override
    def data_received(self, data: bytes) -> None:
        try:
            messages = self._decoder.feed(data)
            if self.leave_if_unwelcome():
                return
            for message in messages:
                self._take(message)
        except ProtocolError as error:
            self._log.warning("client_malformed", client=self._name, reason=str(error))
            self.refuse(ErrorCode.MALFORMED, str(error))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._tenure.leave()
        if self._stuck is not None:
            self._stuck.cancel()
        self._requests.drop()
        self.ended.set()
        if self._former is not None:
            self._former.connection_lost(exc)  # who closes the stream waits for this

    @override
    def pause_writing(self) -> None:
        self._delivery.writable.clear()
        self._listen()
        size = self._transport.get_write_buffer_size()
        self._stuck = self._loop.call_later(STUCK_S, self._cut_off_if_stuck, size)

    @override
    def resume_writing(self) -> None:
        self._delivery.writable.set()
        if self._stuck is not None:
            self._stuck.cancel()
        self._listen()

    def _cut_off_if_stuck(self, unread: int) -> None:
        size = self._transport.get_write_buffer_size()
        if size < unread:
            self._stuck = self._loop.call_later(STUCK_S, self._cut_off_if_stuck, size)
        else:
            self._log.warning("client_does_not_read", client=self._name, bytes=size)
            self._transport.abort()

    def _listen(self) -> None:
        """Listen to the client, or not, as there is room for what it asks."""
        most = MOST_REQUESTS if self._listening else MOST_REQUESTS // 2
        wanted = len(self._requests) < most and self._delivery.writable.is_set()
        if wanted is self._listening or self._transport.is_closing():
            return
        self._listening = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # --- Requests ---------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        if isinstance(message, Begin | Recall) and not self._may_write:
            self._send(encode(failed_of(_too_small(), message.request_id)))
        elif isinstance(message, Execute):
            self._execute(message)
        elif isinstance(message, Begin):
            self._requests.spawn(message, self._answer(message))
        elif isinstance(message, Commit | Rollback | Recall):
            # Short, and nobody could say what became of one that was broken off.
            self._requests.spawn(message, self._answer(message), cancel=_never)
        elif isinstance(message, Fetch | Cancel):
            self._steer(message)
        elif isinstance(message, Ping):
            self._send(encode(Pong(message.timestamp)))
        elif isinstance(message, Error):
            self._transport.close()
        else:
            raise ProtocolError(f"a client never sends {type(message).__name__}")

    async def _answer(self, asked: Begin | Commit | Rollback | Recall) -> None:
        match asked:
            case Begin():
                done = await self._tenure.begin(asked)
            case Commit():
                done = await self._tenure.commit(asked.request_id, asked.within)
            case Rollback():
                done = await self._tenure.roll_back(asked.request_id, asked.within)
            case Recall():
                done = await self._host.recall(asked)
            case _:
                assert_never(asked)
        self._send(encode(done))

    def _steer(self, message: Fetch | Cancel) -> None:
        """What is done already is steered no more."""
        pending = self._requests.find(message.request_id)
        if pending is None:
            return
        if isinstance(message, Cancel):
            pending.cancel()
        elif pending.fetched is not None and not pending.fetched.done():
            pending.fetched.set_result(message.rows)

    def _execute(self, asked: Execute) -> None:
        spawn = self._requests.spawn
        try:
            self._host.spend(asked, self._principal, self.address)
            if not asked.queries:
                raise RequestError("there is no query; send at least one")
            if asked.within:
                spawn(asked, self._run_inside(asked), cancel=self._tenure.interrupt)
            elif _only_reads(asked):
                spawn(asked, self._read(asked))
            elif not self._may_write:
                raise _too_small()
            elif len(asked.queries) == 1 and is_vacuum(asked.queries[0].sql):
                spawn(asked, self._vacuum(asked))
            else:
                self._write(asked)
        except ProtocolError:
            raise
        except NexusError as error:
            self._send(encode(failed_of(error, asked.request_id)))

    def _write(self, asked: Execute) -> None:
        """Put it to the writer, with all that others ask in this turn of the loop."""
        statements = tuple(
            [Statement(query.sql, bound(query), query.many) for query in asked.queries]
        )
        manager = self._host.writer()

        def cancel() -> None:
            job.cancelled = True

        self._requests.add(asked, cancel)
        try:
            job = manager.submit(
                Transaction(statements, asked.transaction_id, asked.foreign_keys),
                self._loop,
                lambda job: self._written(asked, job),
            )
        except NexusError:
            self._requests.remove(asked.request_id)
            raise

    def _written(self, asked: Execute, job: Job) -> None:
        self._requests.remove(asked.request_id)
        if job.error is not None:
            self._requests.fail(asked.request_id, job.error)
            return
        answer: Answer = job.result
        done = _done_of(asked.request_id, answer)
        if any(result.columns for result in answer.results):
            results = self._give_results(asked, answer.results, done)
            self._requests.spawn(asked, results)
        else:
            self._send(encode(done))

    async def _vacuum(self, asked: Execute) -> None:
        await self._host.vacuum()
        self._send(encode(Done(asked.request_id, ((-1, 0),))))

    async def _read(self, asked: Execute) -> None:
        await self._host.reach(asked)
        statements = [Statement(query.sql, bound(query)) for query in asked.queries]
        pending = self._requests.find(asked.request_id)
        assert pending is not None, "it is under way until its task ends"
        reading = self._host.reading(statements, asked.request_id)
        await self._delivery.of_reading(pending, reading)

    async def _run_inside(self, asked: Execute) -> None:
        results = await self._tenure.execute(asked.within, asked.queries)
        done = _done_of(asked.request_id, Answer(results, None))
        await self._give_results(asked, results, done)

    async def _give_results(
        self, asked: Execute, results: list[StatementResult], done: Done
    ) -> None:
        pending = self._requests.find(asked.request_id)
        assert pending is not None, "it is under way until its task ends"
        await self._delivery.of_results(pending, results, done)

    def _send(self, frames: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frames)


def _too_small() -> ForbiddenError:
    return ForbiddenError("this needs a token of the role write")


def _never() -> None:
    """A cancel has no effect."""


def _only_reads(asked: Execute) -> bool:
    """Whether a reader can answer it; raises RefusedStatementError."""
    return all(query.many is None and _reads(query.sql) for query in asked.queries)


def _reads(sql: str) -> bool:
    kind = classify(sql)
    if kind is _PRAGMA:
        return read_pragma(sql).use is PragmaUse.READ
    return kind is _READ


def _done_of(request_id: int, answer: Answer) -> Done:
    """What a transaction has come to."""
    counts = tuple([(r.rows_affected, r.last_insert_rowid) for r in answer.results])
    done = Done(request_id, counts, durable_on=answer.durable_on)
    return placed(done, answer.position)
