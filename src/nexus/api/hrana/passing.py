"""Pass requests of a replica's streams on to the master."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from nexus.api.connections import LostError, Received
from nexus.api.facade import NodeFacade
from nexus.api.forward import OFFSET, Forwarder, passed_back
from nexus.api.hrana.failures import ToldError, failure_of
from nexus.api.hrana.lines import LinesResponse
from nexus.api.hrana.messages import PipelineBody, StoreSqlRequest
from nexus.api.hrana.results import CursorError, HranaError, PipelineAnswer
from nexus.api.refusals import AnswerLostError
from nexus.api.security import Headers
from nexus.errors import NexusError, ReadOnlyReplicaError
from nexus.model.position import Offset

OWN_WRITE_S: Final = 1.0
"""How long the answer to a write that was passed on waits until this replica has it:
whoever writes here then reads it here."""

PIPELINE: Final = "/v3/pipeline"

Master = ReadOnlyReplicaError
"""Names the master, as the node's own refusal of a write does."""

_encode: Final = msgspec.json.Encoder().encode


class Passing:
    """The way from this node to the master."""

    def __init__(self, node: NodeFacade, forwarder: Forwarder) -> None:
        self._node = node
        self._forwarder = forwarder

    def master(self) -> Master | None:
        """Where writes go from here, if this node is a replica."""
        try:
            self._node.writer()
        except ReadOnlyReplicaError as error:
            return error
        except NexusError:
            return None  # what writes is told so, what reads is answered
        return None

    async def forward(
        self, master: Master, headers: Headers, body: bytes, path: str
    ) -> Response:
        """The master's answer, once this node has what it wrote."""
        answer = await self._forwarder.forward(master, headers, body, path)
        offset = answer.headers.get(OFFSET.decode())
        if offset is not None:
            with suppress(TimeoutError):
                await self._node.wait_applied(
                    Offset(int(offset)), timeout_s=OWN_WRITE_S
                )
        return answer

    async def stream(
        self, master: Master, headers: Headers, body: bytes, path: str
    ) -> Response:
        """The master's answer to a cursor, whose lines leave as they come."""
        answer = await self._forwarder.stream(master, headers, body, path)
        if answer.status != HTTPStatus.OK:
            told = Received(answer.status, answer.headers, await answer.whole())
            return passed_back(told)
        lines = _told_if_broken(answer.lines())
        return LinesResponse(await anext(lines, b""), lines)

    async def pass_on(self, master: Master, headers: Headers, body: bytes) -> bytes:
        """The master's answer to a pipeline; raises NexusError."""
        answer = await self.forward(master, headers, body, PIPELINE)
        if answer.status_code != HTTPStatus.OK:
            raise ToldError(msgspec.json.decode(answer.body, type=HranaError))
        return bytes(answer.body)

    async def store_there(
        self, master: Master, headers: Headers, stored: dict[int, str]
    ) -> str | None:
        """A new stream's baton at the master, with these texts."""
        stores = [StoreSqlRequest(sql_id, sql) for sql_id, sql in stored.items()]
        body = _encode(PipelineBody([*stores]))
        said = await self.pass_on(master, headers, body)
        return msgspec.json.decode(said, type=PipelineAnswer).baton


async def _told_if_broken(lines: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The lines; where they break off, that is the last one."""
    async with aclosing(lines):
        try:
            async for some in lines:
                yield some
        except LostError as error:
            lost = AnswerLostError(
                f"the master was lost while it answered ({error}): what was to be "
                "written may be done or not"
            )
            yield _encode(CursorError(failure_of(lost))) + b"\n"
