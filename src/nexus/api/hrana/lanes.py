"""One stream of a WebSocket: here, or at the master once it writes on a replica."""

from contextlib import suppress
from typing import Final

import msgspec

from nexus.api.hrana.dialogue import OfStream
from nexus.api.hrana.failures import ToldError, failure_of
from nexus.api.hrana.messages import (
    AutocommitRequest,
    Batch,
    BatchRequest,
    BatchStep,
    CloseRequest,
    DescribeRequest,
    ExecuteRequest,
    PipelineBody,
    SequenceRequest,
    Stmt,
    StreamRequest,
)
from nexus.api.hrana.passing import Master, Passing
from nexus.api.hrana.results import (
    AutocommitResponse,
    ErrorResult,
    OkResult,
    PipelineAnswer,
)
from nexus.api.hrana.routing import needs_master
from nexus.api.hrana.stream import Stream
from nexus.api.hrana.texts import Texts
from nexus.api.refusals import StreamGoneError
from nexus.api.security import Headers
from nexus.errors import NexusError

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(PipelineAnswer).decode


_EXPIRED: Final = "STREAM_EXPIRED"
_GONE: Final = (
    "the master that kept this stream is gone, and what was not committed with it; "
    "close the stream and begin again on a new one"
)


class Lane:
    """Carries out the requests of one stream, one after another."""

    def __init__(self, stream: Stream, passing: Passing, headers: Headers) -> None:
        self._stream = stream
        self._headers = headers
        """What lets the client in, at the master too."""
        self._passing = passing
        self._is_there = False
        """Whether the master keeps the stream."""
        self._baton: str | None = None
        self._in_transaction = False
        """At the master, after the last answer."""
        self._lost = False

    @property
    def is_in_transaction(self) -> bool:
        """Whether one is open, here or at the master."""
        return self._in_transaction or not self._stream.sql.is_autocommit

    def admit(self, headers: Headers, *, may_write: bool) -> None:
        """From now on its client comes with these."""
        self._headers = headers
        self._stream.sql.may_write = may_write

    async def carry_out(self, request: StreamRequest) -> OkResult | ErrorResult:
        """Do what a request wants, or say why it was not done."""
        master = None
        sql = self._stream.sql
        if sql.is_autocommit and sql.may_write:
            master = self._passing.master()
        if self._is_there or (master and needs_master([request])):
            return await self._told_there(master, request)
        return await self._stream.carry_out(request)

    async def close(self) -> None:
        """Take back what is not committed."""
        self._stream.close()
        master = self._passing.master()
        if self._baton is not None and master is not None:
            body = PipelineBody([CloseRequest()], self._baton)
            self._baton = None
            with suppress(NexusError):  # it expires by itself
                await self._passing.pass_on(master, self._headers, _encode(body))

    async def _told_there(
        self, master: Master | None, request: StreamRequest
    ) -> OkResult | ErrorResult:
        told = failure_of(StreamGoneError(_GONE))
        for _ in range(2):
            try:
                return await self._carry_out_there(master, request)
            except NexusError as error:
                had_baton, self._baton = self._baton is not None, None
                self._lost = self._in_transaction
                told = failure_of(error)
            if self._lost or not had_baton or told.code != _EXPIRED:
                break  # else nothing happened, and nothing was lost with the stream
        return ErrorResult(told)

    async def _carry_out_there(
        self, master: Master | None, request: StreamRequest
    ) -> OkResult | ErrorResult:
        if self._lost or (master is None and self._in_transaction):
            self._lost = True
            raise StreamGoneError(_GONE)
        if master is None:  # this node has become the master itself
            self._is_there, self._baton = False, None
            return await self._stream.carry_out(request)
        self._is_there = True
        body = _encode(PipelineBody([request, AutocommitRequest()], self._baton))
        answer = _decode(await self._passing.pass_on(master, self._headers, body))
        result, state = answer.results
        if isinstance(state, ErrorResult):  # it is said of a stream that is no more
            raise ToldError(state.error)
        self._baton = answer.baton
        self._in_transaction = not (
            isinstance(state.response, AutocommitResponse)
            and state.response.is_autocommit
        )
        return result


def resolved(request: OfStream, texts: Texts) -> StreamRequest:
    """The request with the texts that its ids name now; raises SqlTextError."""
    match request:
        case ExecuteRequest():
            return ExecuteRequest(_with_text(request.stmt, texts))
        case BatchRequest():
            steps = [
                BatchStep(_with_text(step.stmt, texts), step.condition)
                for step in request.batch.steps
            ]
            return BatchRequest(Batch(steps))
        case SequenceRequest():
            return SequenceRequest(texts.text(request.sql, request.sql_id))
        case DescribeRequest():
            return DescribeRequest(texts.text(request.sql, request.sql_id))


def _with_text(stmt: Stmt, texts: Texts) -> Stmt:
    text = texts.text(stmt.sql, stmt.sql_id)
    return msgspec.structs.replace(stmt, sql=text, sql_id=None)
