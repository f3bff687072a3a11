"""Streams between two requests, each known by a baton that is good for the next one."""

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from typing_extensions import override

from nexus.api.hrana.stream import Stream
from nexus.api.hrana.texts import Shelf, Texts
from nexus.api.refusals import BatonUsedError, StreamGoneError, TooManyStreamsError
from nexus.errors import NexusError
from nexus.node.sqlstream import SqlStream

STREAM_IDLE_S: Final = 60.0
"""A stream that nobody asks for so long is closed; its transaction ends long before."""

MOST_STREAMS: Final = 4_096
"""Kept at once; each costs some kilobytes."""

_PARTS: Final = 4
_HOLDS: Final = "t"


@dataclass(frozen=True, slots=True)
class Baton:
    """What a stream's next request must bring."""

    node_id: str
    """Of the node that keeps the stream."""
    stream_id: str
    number: int
    seal: str
    holds: bool = False
    """Whether a transaction may be open in it. Not sealed: it tells whether more is
    lost with the stream than the stream."""

    @classmethod
    def of(cls, text: str) -> "Baton | None":
        """What the text says; None where it is no baton at all."""
        parts = text.split(".")
        if len(parts) != _PARTS:
            return None
        number = parts[2].removesuffix(_HOLDS)
        if not (number.isascii() and number.isdecimal()):
            return None
        holds = number != parts[2]
        return cls(parts[0], parts[1], int(number[:18]), parts[3], holds)

    @override
    def __str__(self) -> str:
        number = f"{self.number}{_HOLDS}" if self.holds else f"{self.number}"
        return f"{self.node_id}.{self.stream_id}.{number}.{self.seal}"


@dataclass(slots=True)
class _Kept:
    """A stream, and who may ask it next."""

    stream: Stream
    stream_id: str
    number: int = 0
    """Of the baton that is good now."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    timer: asyncio.TimerHandle | None = None

    def stop_timer(self) -> None:
        """It is in use."""
        if self.timer is not None:
            self.timer.cancel()


class Visit:
    """One request's use of a stream; `baton` names it for the next."""

    def __init__(self, stream: Stream, baton: Baton) -> None:
        self.stream = stream
        self.is_told = False
        """Whether the client has the baton already: it may come again."""
        self._baton = baton

    @property
    def baton(self) -> str | None:
        """For the client's next request; None once the stream is closed."""
        return None if self.stream.is_closed else self.baton_if(may_begin=False)

    def baton_if(self, *, may_begin: bool) -> str:
        """The same where what is told later may begin a transaction."""
        holds = may_begin or not self.stream.sql.is_autocommit
        return str(replace(self._baton, holds=holds))


class Streams:
    """All streams of one node; belongs to one event loop."""

    def __init__(
        self,
        node_id: Callable[[], str],
        open_stream: Callable[[], SqlStream],
        *,
        idle_s: float = STREAM_IDLE_S,
        most: int = MOST_STREAMS,
    ) -> None:
        self._node_id = node_id
        self._open_stream = open_stream
        self._idle_s = idle_s
        self._most = most
        self._key = secrets.token_bytes(32)
        self._shelf = Shelf()
        self._kept: dict[str, _Kept] = {}

    @property
    def count(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def is_foreign(self, text: str | None) -> bool:
        """Whether another node's baton it is; `visit` refuses it."""
        baton = Baton.of(text) if text is not None else None
        return baton is not None and baton.node_id != self._node_id()

    def peek(self, text: str | None) -> Stream | None:
        """The stream that the baton names, if it is good; without using it."""
        try:
            return None if text is None else self._find(text).stream
        except NexusError:
            return None  # `visit` says why

    def new(self) -> Stream:
        """A stream that no baton names."""
        return Stream(self._open_stream(), Texts(self._shelf))

    @asynccontextmanager
    async def visit(self, text: str | None) -> AsyncIterator[Visit]:
        """Use the stream that the baton names, or a new one, alone.

        The baton is good no more, whatever becomes of this request; if it is broken
        off, the stream is closed, because nobody will learn the next one, unless it was
        told before. Raises StreamGoneError, BatonUsedError, TooManyStreamsError.
        """
        kept = self._begin() if text is None else self._find(text)
        kept.number += 1
        kept.stop_timer()
        visit = Visit(kept.stream, self._baton(kept))
        try:
            async with kept.turn:
                kept.stop_timer()  # who had the turn before may have set it
                yield visit
        except BaseException as error:
            if isinstance(error, Exception) or not visit.is_told:
                kept.stream.close()
            raise
        finally:
            self._leave(kept)

    def close(self) -> None:
        """Close all of them."""
        for kept in list(self._kept.values()):
            self._drop(kept)

    def _begin(self) -> _Kept:
        if len(self._kept) >= self._most:
            raise TooManyStreamsError(f"{self._most} streams are open")
        kept = _Kept(self.new(), secrets.token_urlsafe(16))
        self._kept[kept.stream_id] = kept
        return kept

    def _find(self, text: str) -> _Kept:
        baton = Baton.of(text)
        known = baton and self._kept.get(baton.stream_id)
        if baton is None or not known or not self._is_sealed(baton):
            raise StreamGoneError(
                "no stream of this node has this baton: streams are closed after "
                f"{self._idle_s:g} s without a request, and when their node stops"
            )
        if baton.number != known.number:
            raise BatonUsedError(
                "this baton was used before; the stream's last answer has the next one"
            )
        return known

    def _baton(self, kept: _Kept) -> Baton:
        seal = self._seal(kept.stream_id, kept.number)
        return Baton(self._node_id(), kept.stream_id, kept.number, seal)

    def _is_sealed(self, baton: Baton) -> bool:
        seal = self._seal(baton.stream_id, baton.number)
        return hmac.compare_digest(seal.encode(), baton.seal.encode())

    def _seal(self, stream_id: str, number: int) -> str:
        said = f"{self._node_id()}.{stream_id}.{number}".encode()
        return hmac.new(self._key, said, "sha256").hexdigest()

    def _leave(self, kept: _Kept) -> None:
        if kept.stream.is_closed:
            self._drop(kept)
        elif not kept.turn.locked():
            kept.timer = asyncio.get_running_loop().call_later(
                self._idle_s, self._drop, kept
            )

    def _drop(self, kept: _Kept) -> None:
        kept.stop_timer()
        self._kept.pop(kept.stream_id, None)
        kept.stream.close()
        kept.stream.texts.close()
