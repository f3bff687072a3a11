"""POST /sql: the one call that is made thousands of times a second.

It is a bare ASGI application, reached before any router: for a single insert, each
layer in between would cost more than the call itself.
"""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nexus.api.audit import address_of
from nexus.api.bodies import (
    BodyReader,
    ClientGoneError,
    check_count,
    check_media_type,
    decoded,
)
from nexus.api.calls import Answer, Call
from nexus.api.facade import NodeFacade
from nexus.api.forward import Forwarder
from nexus.api.problems import cut_off, problem_response, unexpected
from nexus.api.refusals import AnswerLostError
from nexus.api.security import Gate, Headers, require
from nexus.api.values import TRANSACTION_ID_LIMIT, encode_response, read_params
from nexus.errors import (
    ConstraintError,
    DatabaseBusyError,
    DiskFullError,
    NexusError,
    NoDatabaseError,
    NoMasterError,
    NotAppliedError,
    OutcomeUnknownError,
    QuorumLostError,
    ReadOnlyReplicaError,
    RefusedStatementError,
    RequestError,
    StatementError,
    TransactionError,
    TransactionTooLargeError,
    WritesStoppedError,
)
from nexus.model.statements import StatementKind, classify
from nexus.model.token import Principal, TokenRole
from nexus.node.requests import SqlRequest, SqlResponse

LEAST_AGAIN_S: Final = 5.0

AGAIN_PAUSE_S: Final = 0.1
"""Between two tries to find a master for a write whose answer was lost."""

_decoder: Final = msgspec.json.Decoder(SqlRequest)
_JSON: Final = (b"content-type", b"application/json")


class SqlEndpoint:
    """Runs the statements on this node, or passes its writes on to the master."""

    def __init__(
        self, node: NodeFacade, gate: Gate, bodies: BodyReader, forwarder: Forwarder
    ) -> None:
        self._node = node
        self._gate = gate
        self._bodies = bodies
        self._forwarder = forwarder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answered = self._node.measures.answered
        headers: Headers = dict(scope["headers"])
        response: Response
        try:
            answer = await self._answer(headers, receive, address_of(scope))
            if isinstance(answer, bytes):
                answered(HTTPStatus.OK)
                await _send_json(send, answer)
                return
            response = answer
        except NexusError as error:
            response = problem_response(error)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            # The server ends this task when a stop has waited long enough; not raised
            # again, because the task ends here and the log needs no trace of it.
            response = problem_response(cut_off())
        except Exception:
            answered(HTTPStatus.INTERNAL_SERVER_ERROR)
            await problem_response(unexpected())(scope, receive, send)
            raise
        answered(response.status_code)
        await response(scope, receive, send)

    async def _answer(
        self, headers: Headers, receive: Receive, address: str
    ) -> bytes | Response:
        principal = self._gate.check(headers, TokenRole.READ, address)
        check_media_type(headers)
        body = await self._bodies.read(headers, receive)
        try:
            request = decoded(_decoder, body)
            read_params(request)
            _check(request, self._node.config.limits.statements)
            if not principal.role.covers(TokenRole.WRITE):
                _require_queries(request, principal)
            return await self._done(request, headers, body)
        finally:
            self._bodies.release(body)

    async def _done(
        self, request: SqlRequest, headers: Headers, body: bytes
    ) -> bytes | Response:
        try:
            return encode_response(await self._node.execute(request))
        except ReadOnlyReplicaError as error:
            try:
                return await self._forwarder.forward(error, headers, body)
            except AnswerLostError as lost:
                if not request.transaction_id:
                    raise
                return await self._done_again(request, headers, body, lost)

    async def _done_again(
        self, request: SqlRequest, headers: Headers, body: bytes, lost: AnswerLostError
    ) -> bytes | Response:
        """Ask whoever is the master by now: its transaction id is done only once.

        Raises `lost` where nobody has answered within two dead-times.
        """
        replication = self._node.config.replication
        dead_after_s = replication.heartbeat_ms * replication.missed_heartbeats / 1000
        deadline = time.monotonic() + max(LEAST_AGAIN_S, 2 * dead_after_s)
        while time.monotonic() < deadline:
            await asyncio.sleep(AGAIN_PAUSE_S)
            try:
                return encode_response(await self._node.execute(request))
            except ReadOnlyReplicaError as error:
                with suppress(NoMasterError, AnswerLostError):
                    return await self._forwarder.forward(error, headers, body)
            except NoMasterError:
                continue
        raise lost


def _require_queries(request: SqlRequest, principal: Principal) -> None:
    """What is a query alone never meets the writer, whatever it calls."""
    for statement in request.statements:
        if classify(statement.sql) is not StatementKind.READ:
            require(principal, TokenRole.WRITE)


def _check(request: SqlRequest, most: int) -> None:
    if request.min_offset is not None and request.min_offset < 0:
        raise RequestError(f"min_offset is {request.min_offset}; offsets start at 0")
    if len(request.transaction_id) > TRANSACTION_ID_LIMIT:
        raise RequestError(
            f"transaction_id has {len(request.transaction_id)} characters, the limit "
            f"is {TRANSACTION_ID_LIMIT}"
        )
    check_count(len(request.statements), most=most)
    if not request.statements:
        raise RequestError("statements is empty; send at least one")


async def _send_json(send: Send, body: bytes) -> None:
    """What Starlette's Response would send, without making one."""
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", b"%d" % len(body)), _JSON],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


PATH: Final = "/sql"

OF_STATEMENTS: Final = (
    StatementError,
    ConstraintError,
    RefusedStatementError,
    TransactionError,
    TransactionTooLargeError,
    NoMasterError,
    NoDatabaseError,
    QuorumLostError,
    DatabaseBusyError,
    WritesStoppedError,
    OutcomeUnknownError,
    AnswerLostError,
    DiskFullError,
)
"""The errors of every call that runs statements."""

CALL: Final = Call(
    "POST",
    PATH,
    "sql",
    "Run statements, in one transaction or each in its own.",
    {200: Answer("What each statement gave.", SqlResponse)},
    handle=None,
    body=SqlRequest,
    body_required=True,
    role=TokenRole.READ,
    problems=(*OF_STATEMENTS, NotAppliedError),
)
