"""A stream of changes as an HTTP answer: as long as its consumer reads."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from typing_extensions import override

from nexus.api.calls import ADMITTED
from nexus.api.consumers import Consumers
from nexus.api.facade import Pieces
from nexus.api.problems import problem_of
from nexus.api.refusals import UnauthorisedError
from nexus.api.streams import JSON_LINES
from nexus.api.values import write_row
from nexus.errors import NexusError, NodeStoppedError
from nexus.model.change import Change
from nexus.model.token import LET_IN_NO_MORE

EVENTS: Final = "text/event-stream"

LOOK_EVERY_S: Final = 1.0
"""Between two looks whether who reads nothing new would still be let in."""

RETRY_MS: Final = 1_000
"""What a browser waits before it connects again."""

_encode: Final = msgspec.json.Encoder().encode


class Form(Protocol):
    """How changes are written."""

    media_type: str
    beginning: bytes

    def change(self, change: Change) -> bytes:
        """One change, or a heartbeat."""

    def problem(self, error: NexusError) -> bytes:
        """Why the answer ends."""


class Lines:
    """A JSON object a line."""

    media_type = JSON_LINES
    beginning = b""

    def change(self, change: Change) -> bytes:
        """One line."""
        return _encode(_written(change)) + b"\n"

    def problem(self, error: NexusError) -> bytes:
        """One line, whose `op` is `problem`."""
        return _problem(error) + b"\n"


class Events:
    """Server-sent events, as HTML's EventSource reads them."""

    media_type = EVENTS
    beginning = b"retry: %d\n\n" % RETRY_MS

    def change(self, change: Change) -> bytes:
        """A message; of a heartbeat the id alone, which no listener sees."""
        if change.op == "heartbeat":
            return b"id: %b\n\n" % change.id.encode()
        return b"id: %b\ndata: %b\n\n" % (change.id.encode(), _encode(_written(change)))

    def problem(self, error: NexusError) -> bytes:
        """An event of its own, `problem`."""
        return b"event: problem\ndata: %b\n\n" % _problem(error)


class ChangesResponse(Response):
    """Sends what a stream gives until it ends, its consumer goes, or the node stops."""

    def __init__(self, pieces: Pieces, form: Form, consumers: Consumers) -> None:
        super().__init__(
            media_type=form.media_type,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        del self.headers["Content-Length"]
        self._pieces = pieces
        self._form = form
        self._consumers = consumers

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            start = {"type": "http.response.start", "status": 200}
            await send({**start, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send(_body(b"", more=False))
            else:
                admitted = scope[ADMITTED]
                await _until_first(self._send_all(send, admitted), _is_gone(receive))
        finally:
            self._consumers.leave()

    async def _send_all(self, send: Send, admitted: Callable[[], bool]) -> None:
        piece: bytes | None = self._form.beginning
        try:
            while piece is not None:
                await send(_body(piece, more=True))
                piece = await self._next(admitted)
        except NexusError as error:
            await send(_body(self._form.problem(error), more=True))
        await send(_body(b"", more=False))

    async def _next(self, admitted: Callable[[], bool]) -> bytes | None:
        reading = asyncio.ensure_future(self._pieces.read())
        stopping = self._consumers.stopping.wait()
        await _until_first(reading, stopping, _is_unwelcome(admitted))
        if not admitted():
            raise UnauthorisedError(LET_IN_NO_MORE)
        if not reading.done() or reading.cancelled():
            raise NodeStoppedError("this node is stopping; read on at another one")
        return reading.result()


async def _until_first(*works: Awaitable[Any]) -> None:
    """Run them until one ends; raises what that one raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()


async def _is_unwelcome(admitted: Callable[[], bool]) -> None:
    """Return when the consumer would not be let in any more."""
    while admitted():  # noqa: ASYNC110 - a token's end has no event
        await asyncio.sleep(LOOK_EVERY_S)


async def _is_gone(receive: Receive) -> None:
    """Return when the consumer has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _written(change: Change) -> Change:
    """The change with values that JSON has words for."""
    key, old, new = (
        write_row(row) if isinstance(row, dict) else row
        for row in (change.key, change.old, change.new)
    )
    if key is change.key and old is change.old and new is change.new:
        return change
    return msgspec.structs.replace(change, key=key, old=old, new=new)


def _problem(error: NexusError) -> bytes:
    return _encode({"op": "problem", **msgspec.to_builtins(problem_of(error))})
