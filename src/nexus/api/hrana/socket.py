"""Hrana over a WebSocket: many streams on one connection, each in its own order."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from nexus.api.audit import address_of
from nexus.api.hrana.counting import require_few
from nexus.api.hrana.dialogue import (
    Answered,
    Ask,
    CloseStream,
    Hello,
    HelloError,
    HelloOk,
    OfStream,
    OpenStream,
    ResponseError,
    ResponseOk,
    Said,
    StreamClosed,
    StreamOpened,
)
from nexus.api.hrana.failures import ToldError, failure_of
from nexus.api.hrana.lanes import Lane, resolved
from nexus.api.hrana.messages import CloseSqlRequest, StoreSqlRequest, StreamRequest
from nexus.api.hrana.passing import Passing
from nexus.api.hrana.results import CloseSqlResponse, ErrorResult, StoreSqlResponse
from nexus.api.hrana.stream import Stream
from nexus.api.hrana.texts import Shelf, Texts
from nexus.api.refusals import SqlTextError, StreamGoneError, TooManyStreamsError
from nexus.api.security import Gate, Headers
from nexus.api.socketprotocol import SEAT, CountedSocket
from nexus.config import LimitSettings
from nexus.errors import NexusError, RateLimitedError, RequestError
from nexus.model.token import ANONYMOUS, LET_IN_NO_MORE, TokenRole
from nexus.node.sqlstream import SqlStream

SUBPROTOCOLS: Final = ("hrana2", "hrana1")
"""What is spoken, the best first."""

MOST_LANES: Final = 256
"""Streams of one connection."""

SEE_OFF_EVERY_S: Final = 1.0
"""Between two looks whether the client's token is still good."""

MOST_UNDER_WAY: Final = 64
"""Requests of one connection; it is not listened to while there are so many."""

_NOT_UNDERSTOOD: Final = 3007
_NOT_TEXT: Final = 3003
"""Codes of a closed WebSocket that libSQL's clients use for the same."""

Answer = Callable[[], Awaitable[Answered]]
"""What is to be answered, begun when its turn comes."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Said).decode


class SocketHost:
    """What every connection needs of its node."""

    def __init__(
        self,
        gate: Gate,
        open_stream: Callable[[], SqlStream],
        passing: Passing,
        limits: LimitSettings,
    ) -> None:
        self.gate = gate
        self.open_stream = open_stream
        self.passing = passing
        self.limits = limits
        self.shelf = Shelf()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection to its end."""
        await receive()  # that it wants to be one
        offered = scope["subprotocols"]
        spoken = [name for name in SUBPROTOCOLS if name in offered]
        try:
            self.gate.check(dict(scope["headers"]), None)
        except NexusError:
            spoken = []
        if not spoken:
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept", "subprotocol": spoken[0]})
        conversation = Conversation(self, receive, send, address_of(scope))
        seat: CountedSocket | None = scope.get("state", {}).get(SEAT)
        if seat is not None:
            seat.is_needed = lambda: conversation.is_busy
        await conversation.hold()


class Conversation:
    """One connection."""

    def __init__(
        self, host: SocketHost, receive: Receive, send: Send, address: str
    ) -> None:
        self._host = host
        self._address = address
        self._receive = receive
        self._send = send
        self._headers: Headers = {}
        self._principal = ANONYMOUS
        self._texts = Texts(host.shelf)
        self._lanes: dict[int, Lane] = {}
        self._last: dict[int, asyncio.Task[None]] = {}
        """Of each stream the last request under way: the next one waits for it."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MOST_UNDER_WAY)

    @property
    def is_busy(self) -> bool:
        """Whether an answer is due, or a transaction is open."""
        lanes = self._lanes.values()
        return bool(self._under_way) or any(lane.is_in_transaction for lane in lanes)

    async def hold(self) -> None:
        """Answer until the client leaves, or says what is no Hrana."""
        try:
            async with asyncio.timeout(self._host.limits.head_timeout_ms / 1000):
                greeted = await self._greet()
            if greeted:
                async with asyncio.TaskGroup() as tasks:
                    watching = tasks.create_task(self._see_off())
                    await self._listen(tasks)
                    watching.cancel()
                    for task in self._under_way:
                        task.cancel()
        except TimeoutError:
            await self._close(_NOT_UNDERSTOOD, "no hello came")
        except RequestError as error:
            await self._close(_NOT_UNDERSTOOD, str(error))
        finally:
            for lane in self._lanes.values():
                await lane.close()
            self._texts.close()

    async def _see_off(self) -> None:
        """Close once the token is good no more, whether anything is asked or not."""
        while self._host.gate.still_admits(self._principal):  # noqa: ASYNC110 - a token's end has no event
            await asyncio.sleep(SEE_OFF_EVERY_S)
        await self._close(_NOT_UNDERSTOOD, LET_IN_NO_MORE)

    async def _greet(self) -> bool:
        said = await self._next()
        if said is None:
            return False
        if not isinstance(said, Hello):
            raise RequestError("a hello comes first")
        return await self._admit(said)

    async def _admit(self, hello: Hello) -> bool:
        self._headers = {b"authorization": f"Bearer {hello.jwt or ''}".encode()}
        try:
            self._principal = self._host.gate.check(
                self._headers, TokenRole.READ, self._address
            )
        except NexusError as error:
            await self._say(HelloError(failure_of(error)))
            await self._close(_NOT_UNDERSTOOD, "not admitted")
            return False
        for lane in self._lanes.values():
            lane.admit(self._headers, may_write=self._may_write)
        await self._say(HelloOk())
        return True

    @property
    def _may_write(self) -> bool:
        return self._principal.role.covers(TokenRole.WRITE)

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        while (said := await self._next()) is not None:
            if isinstance(said, Hello):
                if not await self._admit(said):
                    return
                continue
            if not self._host.gate.still_admits(self._principal):
                await self._close(_NOT_UNDERSTOOD, LET_IN_NO_MORE)
                return
            try:
                self._host.gate.spend(self._principal, self._address)
            except RateLimitedError as error:
                failed = ResponseError(said.request_id, failure_of(error))
                await self._say(failed)
                continue
            await self._room.acquire()
            self._begin(tasks, said)

    def _begin(self, tasks: asyncio.TaskGroup, ask: Ask) -> None:
        """Answer it after the requests of the same stream that came before.

        Texts are stored, found and forgotten as they come, whatever waits.
        """
        request = ask.request
        if isinstance(request, StoreSqlRequest | CloseSqlRequest):
            answer, before = self._on_texts(request), None
        else:
            answer, before = self._on_stream(request), self._last.get(request.stream_id)
        task = tasks.create_task(self._settle(before, ask.request_id, answer))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        if not isinstance(request, StoreSqlRequest | CloseSqlRequest):
            self._last[request.stream_id] = task
            task.add_done_callback(partial(self._forget, request.stream_id))

    def _forget(self, stream_id: int, task: asyncio.Task[None]) -> None:
        """Nothing needs to wait for it: a client may name any number of streams."""
        if self._last.get(stream_id) is task:
            del self._last[stream_id]

    def _on_texts(self, request: StoreSqlRequest | CloseSqlRequest) -> Answer:
        answered: Answered = CloseSqlResponse()
        try:
            if isinstance(request, StoreSqlRequest):
                self._texts.store(request.sql_id, request.sql)
                answered = StoreSqlResponse()
            else:
                self._texts.forget(request.sql_id)
        except NexusError as error:
            return partial(_refused, error)
        return partial(_given, answered)

    def _on_stream(self, request: OpenStream | CloseStream | OfStream) -> Answer:
        if isinstance(request, OpenStream):
            return partial(self._open, request.stream_id)
        if isinstance(request, CloseStream):
            return partial(self._close_stream, request.stream_id)
        try:
            asked = resolved(request, self._texts)
            require_few((asked,), {}, most=self._host.limits.statements)
            return partial(self._carry_out, request.stream_id, asked)
        except NexusError as error:
            return partial(_refused, error)

    async def _carry_out(self, stream_id: int, request: StreamRequest) -> Answered:
        lane = self._lanes.get(stream_id)
        if lane is None:
            raise StreamGoneError(f"there is no stream {stream_id}; open it")
        result = await lane.carry_out(request)
        if isinstance(result, ErrorResult):
            raise ToldError(result.error)
        return result.response

    async def _close_stream(self, stream_id: int) -> Answered:
        closed = self._lanes.pop(stream_id, None)
        if closed is not None:
            await closed.close()
        return StreamClosed()

    async def _open(self, stream_id: int) -> Answered:
        if stream_id in self._lanes:
            raise SqlTextError(f"stream {stream_id} is open already; close it first")
        if len(self._lanes) >= MOST_LANES:
            raise TooManyStreamsError(f"{MOST_LANES} streams are open here")
        sql = self._host.open_stream()
        sql.may_write = self._may_write
        stream = Stream(sql, self._texts)
        self._lanes[stream_id] = Lane(stream, self._host.passing, self._headers)
        return StreamOpened()

    async def _settle(
        self, before: asyncio.Task[None] | None, request_id: int, answer: Answer
    ) -> None:
        answered: msgspec.Struct
        try:
            if before is not None:
                await asyncio.wait((before,))
            try:
                answered = ResponseOk(request_id, await answer())
            except NexusError as error:
                answered = ResponseError(request_id, failure_of(error))
            await self._say(answered)
        finally:
            self._room.release()

    # --- The connection ---------------------------------------------------------------

    async def _next(self) -> Said | None:
        """What comes next; None once the client has left."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text = message.get("text")
        if text is None:
            await self._close(_NOT_TEXT, "only text is understood")
            return None
        try:
            said: Said = _decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise RequestError(f"this is no message of Hrana: {error}") from None
        return said

    async def _say(self, message: msgspec.Struct) -> None:
        text = _encode(message).decode()
        with suppress(OSError):  # the client has left, as `_next` is to find
            await self._send({"type": "websocket.send", "text": text})

    async def _close(self, code: int, reason: str) -> None:
        reason = reason.encode()[:120].decode(errors="ignore")
        with suppress(OSError):
            await self._send(
                {"type": "websocket.close", "code": code, "reason": reason}
            )


async def _given(answered: Answered) -> Answered:
    return answered


async def _refused(error: NexusError) -> Answered:
    raise error
