"""Hrana over HTTP: pipelines, cursors, and the two calls of its first version."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, closing
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from nexus.api.audit import address_of
from nexus.api.bodies import (
    BodyReader,
    ClientGoneError,
    check_count,
    check_media_type,
    decoded,
)
from nexus.api.calls import Body, json_response
from nexus.api.facade import NodeFacade
from nexus.api.forward import EPOCH, OFFSET, Forwarder
from nexus.api.hrana.counting import require_few
from nexus.api.hrana.failures import refusal
from nexus.api.hrana.lines import LinesResponse
from nexus.api.hrana.lost import lost_cursor, lost_pipeline
from nexus.api.hrana.messages import (
    Batch,
    BatchBody,
    BatchStep,
    CursorBody,
    ExecuteBody,
    PipelineBody,
)
from nexus.api.hrana.passing import Master, Passing
from nexus.api.hrana.results import (
    BatchAnswer,
    CursorAnswer,
    ExecuteAnswer,
    PipelineAnswer,
)
from nexus.api.hrana.routing import batch_needs_master, needs_master
from nexus.api.hrana.socket import SocketHost
from nexus.api.hrana.stream import Stream
from nexus.api.hrana.streams import Streams
from nexus.api.problems import cut_off, unexpected
from nexus.api.refusals import StreamGoneError
from nexus.api.security import Gate
from nexus.errors import NexusError
from nexus.model.statements import CONTROL, classify
from nexus.model.token import Principal, TokenRole

PRINCIPAL: Final = "nexus.principal"
"""In the scope of a request: who calls."""

CURSOR: Final = "/v3/cursor"


_encode: Final = msgspec.json.Encoder().encode

Handler = Callable[[Request, bytes], Awaitable[Response]]


class HranaCalls:
    """What is asked of one node in Hrana."""

    def __init__(
        self, node: NodeFacade, gate: Gate, bodies: BodyReader, forwarder: Forwarder
    ) -> None:
        self._passing = Passing(node, forwarder)
        self._streams = Streams(lambda: node.node_id, node.open_stream)
        self._socket = SocketHost(
            gate, node.open_stream, self._passing, node.config.limits
        )
        self._most = node.config.limits.statements
        self._gate = gate
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Where they are asked."""
        posts: dict[str, Handler] = {
            "/v1/execute": self._execute,
            "/v1/batch": self._batch,
            "/v2/pipeline": self._pipeline,
            "/v3/pipeline": self._pipeline,
            CURSOR: self._cursor,
        }
        gets: dict[str, Handler] = {"/v2": _supported, "/v3": _supported}
        return [
            Route(path, _Endpoint(handler, self._gate, self._bodies), methods=[method])
            for method, handlers in (("POST", posts), ("GET", gets))
            for path, handler in handlers.items()
        ]

    async def converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        await self._socket(scope, receive, send)

    def close(self) -> None:
        """Close every stream."""
        self._streams.close()

    # --- Handlers ---------------------------------------------------------------------

    async def _execute(self, request: Request, body: bytes) -> Response:
        stmt = _read(ExecuteBody, body).stmt
        master = self._master_for(request)
        if master and batch_needs_master(Batch([BatchStep(stmt)]), {}, ends=True):
            return await self._pass_on(master, request, body)
        with closing(self._streams.new()) as stream:
            _bound(stream, request)
            return _marked(ExecuteAnswer(await stream.execute(stmt)), stream)

    async def _batch(self, request: Request, body: bytes) -> Response:
        batch = _read(BatchBody, body).batch
        check_count(len(batch.steps), most=self._most)
        master = self._master_for(request)
        if master and batch_needs_master(batch, {}, ends=True):
            return await self._pass_on(master, request, body)
        with closing(self._streams.new()) as stream:
            _bound(stream, request)
            return _marked(BatchAnswer(await stream.batch(batch)), stream)

    async def _pipeline(self, request: Request, body: bytes) -> Response:
        message = _read(PipelineBody, body)
        try:
            return await self._carry_out(request, message, body)
        except StreamGoneError as error:
            return lost_pipeline(message, error)

    async def _carry_out(
        self, request: Request, message: PipelineBody, body: bytes
    ) -> Response:
        require_few(message.requests, self._stored(message.baton), most=self._most)
        if self._streams.is_foreign(message.baton):
            return await self._pass_on(self._owner(), request, body)
        master, stored = self._elsewhere_for(request, message.baton)
        if master and needs_master(message.requests, stored):
            return await self._move(master, request, message)
        async with self._streams.visit(message.baton) as visit:
            stream = _bound(visit.stream, request)
            results = [await stream.carry_out(each) for each in message.requests]
            if not stream.sql.is_autocommit and await request.is_disconnected():
                stream.close()  # nobody will learn its baton
            return _marked(PipelineAnswer(visit.baton, None, results), stream)

    async def _cursor(self, request: Request, body: bytes) -> Response:
        message = _read(CursorBody, body)
        try:
            return await self._run_cursor(request, message, body)
        except StreamGoneError as error:
            return lost_cursor(message, error)

    async def _run_cursor(
        self, request: Request, message: CursorBody, body: bytes
    ) -> Response:
        check_count(len(message.batch.steps), most=self._most)
        if self._streams.is_foreign(message.baton):
            return await self._pass_on(self._owner(), request, body)
        master, stored = self._elsewhere_for(request, message.baton)
        if master and batch_needs_master(message.batch, stored, ends=False):
            return await self._move(master, request, message)
        lines = self._lines(request, message)
        return LinesResponse(await anext(lines), lines)

    async def _lines(
        self, request: Request, message: CursorBody
    ) -> AsyncGenerator[bytes, None]:
        async with self._streams.visit(message.baton) as visit:
            baton = visit.baton_if(may_begin=_may_begin(message.batch))
            yield _encode(CursorAnswer(baton, None)) + b"\n"
            # Who leaves from here on, with the rows that it wanted, goes on with that.
            visit.is_told = True
            stream = _bound(visit.stream, request)
            async with aclosing(stream.cursor(message.batch)) as cursor:
                async for entries in cursor:
                    yield b"".join([_encode(entry) + b"\n" for entry in entries])

    def _stored(self, baton: str | None) -> dict[int, str]:
        stream = self._streams.peek(baton)
        return {} if stream is None else stream.texts.all

    # --- The master -------------------------------------------------------------------

    def _master_for(self, request: Request) -> Master | None:
        """Where this caller's writes go; nowhere for one who may not write."""
        return self._passing.master() if _may_write(request) else None

    def _elsewhere_for(
        self, request: Request, baton: str | None
    ) -> tuple[Master | None, dict[int, str]]:
        """Where a stream of this node would go to write, and the texts that it has.

        In a transaction it goes nowhere: what it has read was read here.
        """
        stream = self._streams.peek(baton)
        if stream is None:
            return self._master_for(request), {}
        if not stream.sql.is_autocommit:
            return None, {}
        return self._master_for(request), stream.texts.all

    def _owner(self) -> Master:
        """Who may keep the stream that this node does not."""
        master = self._passing.master()
        if master is None:
            raise StreamGoneError(
                "another node kept this stream; begin again on a new one"
            )
        return master

    async def _move(
        self,
        master: Master,
        request: Request,
        message: PipelineBody | CursorBody,
    ) -> Response:
        """Have the master keep the stream from now on."""
        baton = None
        if message.baton is not None:
            async with self._streams.visit(message.baton) as visit:
                stored = visit.stream.texts.all
                visit.stream.close()
            if stored:
                headers = dict(request.scope["headers"])
                baton = await self._passing.store_there(master, headers, stored)
        moved = msgspec.structs.replace(message, baton=baton)
        return await self._pass_on(master, request, _encode(moved))

    async def _pass_on(self, master: Master, request: Request, body: bytes) -> Response:
        headers, path = dict(request.scope["headers"]), request.scope["path"]
        if path == CURSOR:
            return await self._passing.stream(master, headers, body, path)
        return await self._passing.forward(master, headers, body, path)


class _Endpoint:
    """One path: what every call of it has in common."""

    def __init__(self, handler: Handler, gate: Gate, bodies: BodyReader) -> None:
        self._handler = handler
        self._gate = gate
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._answer(Request(scope, receive))
        except NexusError as error:
            response = refusal(error)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            # The server ends this task when a stop has waited long enough; not raised
            # again, because the task ends here and the log needs no trace of it.
            response = refusal(cut_off())
        except Exception:
            await refusal(unexpected())(scope, receive, send)
            raise
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        headers = dict(request.scope["headers"])
        address = address_of(request.scope)
        principal = self._gate.check(headers, TokenRole.READ, address)
        request.scope[PRINCIPAL] = principal
        if request.method != "POST":
            return await self._handler(request, b"")
        body = await self._bodies.read(headers, request.receive)
        try:
            # The libSQL clients for Rust and Go declare nothing.
            check_media_type(headers, may_be_missing=True)
            return await self._handler(request, body)
        finally:
            self._bodies.release(body)


def _may_write(request: Request) -> bool:
    principal: Principal = request.scope[PRINCIPAL]
    return principal.role.covers(TokenRole.WRITE)


def _bound(stream: Stream, request: Request) -> Stream:
    """The stream, which does what this caller may."""
    stream.sql.may_write = _may_write(request)
    return stream


def _may_begin(batch: Batch) -> bool:
    """Whether a transaction may be open behind it that was not before."""
    texts = (step.stmt.sql for step in batch.steps)
    return any(text is None or classify(text) in CONTROL for text in texts)


async def _supported(_request: Request, _body: bytes) -> Response:
    return PlainTextResponse("Nexus speaks this version of Hrana, in JSON.\n")


def _read(kind: type[Body], body: bytes) -> Body:
    return decoded(msgspec.json.Decoder(kind), body)


def _marked(answer: msgspec.Struct, stream: Stream) -> Response:
    """The answer, and in a header how far its reader's next node must be."""
    response = json_response(answer)
    position = stream.sql.last_position
    if position is not None:
        response.headers[OFFSET.decode()] = str(position.offset)
        response.headers[EPOCH.decode()] = str(position.epoch)
    return response
