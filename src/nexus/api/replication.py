"""Calls about the cluster: how it fares, and what an operator has it do."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from nexus.api.answers import (
    Divergences,
    Empty,
    History,
    PauseRequest,
    Promoted,
    PromoteRequest,
    Replicas,
    ResumeRequest,
    StartRequest,
    Verification,
    VerificationMark,
)
from nexus.api.calls import (
    NUMBER,
    Answer,
    Call,
    Context,
    Parameter,
    json_response,
    path_number,
    query_number,
    read_body,
    reading,
)
from nexus.api.reached import as_reached, reached_by
from nexus.api.streams import JSON_LINES, stream_lines
from nexus.config import split_address
from nexus.errors import (
    ClusterChangeError,
    ConfigurationError,
    NotFoundError,
    RequestError,
    WrongRoleError,
)
from nexus.model.cluster import (
    MasterStats,
    NodeStatus,
    ReplicaStats,
    Role,
)
from nexus.model.position import Offset
from nexus.node.operators.losses import Losses

NOT_YET_RETRY_S: Final = "1"

log = structlog.get_logger(__name__)


async def _status(context: Context, request: Request) -> Response:
    return _status_for(request, context.node.status())


def _status_for(request: Request, status: NodeStatus) -> Response:
    return json_response(as_reached(status, reached_by(request)))


async def _stats(context: Context, _request: Request) -> Response:
    node = context.node
    if node.status().role in (Role.REPLICA, Role.WITNESS):
        return json_response(node.replica_stats())
    return json_response(node.master_stats())


async def _master_stats(context: Context, _request: Request) -> Response:
    return json_response(context.node.master_stats())


async def _replica_stats(context: Context, _request: Request) -> Response:
    return json_response(context.node.replica_stats())


async def _history(context: Context, _request: Request) -> Response:
    return json_response(History.of(context.node.history()))


async def _replicas(context: Context, _request: Request) -> Response:
    return json_response(Replicas(context.node.replicas()))


async def _divergences(context: Context, _request: Request) -> Response:
    found = await asyncio.to_thread(lambda: list(context.node.diverged.list()))
    return json_response(Divergences(found))


async def _divergence(context: Context, request: Request) -> Response:
    rows: Iterable[Any] = await asyncio.to_thread(
        context.node.diverged.rows, request.path_params["id"]
    )
    return await stream_lines(rows)


async def _promote(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, PromoteRequest)
    node = context.node
    losses = await node.losses() if wish.force or wish.dry_run else None
    if wish.dry_run:
        return json_response(losses)
    if losses is not None:
        # Before it is done; the answer repeats it.
        log.warning("promotion_forced", may_be_lost=losses.may_be_lost)
    after = await node.promote(force=wish.force)
    said = "" if losses is None else losses.may_be_lost
    told = Promoted(**msgspec.structs.asdict(after), may_be_lost=said)
    return _status_for(request, told)


async def _pause(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, PauseRequest)
    context.node.pause(wish.replica)
    return _status_for(request, context.node.status())


async def _resume(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, ResumeRequest)
    context.node.resume(wish.replica, at_once=wish.now)
    return _status_for(request, context.node.status())


async def _apply(context: Context, request: Request) -> Response:
    await read_body(context, request, Empty)
    until, before_us = (query_number(request, name) for name in ("until", "before_us"))
    last = None if until is None else Offset(until)
    return _status_for(request, await context.node.apply_until(last, before_us))


async def _start(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, StartRequest)
    if wish.master_addr is not None:
        try:
            split_address(wish.master_addr)
        except ValueError as error:
            raise RequestError(
                f"master_addr = {wish.master_addr!r} is no HOST:PORT: {error}"
            ) from None
    await context.node.start_replication(Role(wish.role), wish.master_addr)
    return _status_for(request, context.node.status())


async def _stop(context: Context, request: Request) -> Response:
    await read_body(context, request, Empty)
    await context.node.stop_replication()
    return _status_for(request, context.node.status())


async def _begin_verify(context: Context, request: Request) -> Response:
    await read_body(context, request, Empty)
    return json_response(VerificationMark(await context.node.begin_verify()))


async def _verification(context: Context, request: Request) -> Response:
    offset = Offset(path_number(request, "offset"))
    node = context.node
    hashes = await node.verification(offset)
    if hashes is None:
        response = json_response(VerificationMark(offset), 202)
        response.headers["Retry-After"] = NOT_YET_RETRY_S
        return response
    return json_response(Verification.of(node.node_id, offset, hashes))


_STATUS: Final = {200: Answer("The state of the node now.", NodeStatus)}
_WRONG_ROLE: Final = (WrongRoleError,)

CALLS: Final = (
    reading(
        "/replication/status",
        "status",
        "The state of this node.",
        {200: Answer("Its status.", NodeStatus)},
        _status,
    ),
    reading(
        "/replication/stats",
        "stats",
        "Its counters as a master or as a replica, whichever it is.",
        {200: Answer("Its counters.", MasterStats | ReplicaStats)},
        _stats,
        problems=_WRONG_ROLE,
    ),
    reading(
        "/replication/master/stats",
        "master_stats",
        "Its counters as a master.",
        {200: Answer("Its counters.", MasterStats)},
        _master_stats,
        problems=_WRONG_ROLE,
    ),
    reading(
        "/replication/replica/stats",
        "replica_stats",
        "Its counters as a replica.",
        {200: Answer("Its counters.", ReplicaStats)},
        _replica_stats,
        problems=_WRONG_ROLE,
    ),
    reading(
        "/replication/history",
        "history",
        "Every epoch: who reigned, from where on, and why.",
        {200: Answer("The epochs, oldest first.", History)},
        _history,
    ),
    reading(
        "/replication/replicas",
        "replicas",
        "The replicas of this master.",
        {200: Answer("The replicas.", Replicas)},
        _replicas,
        problems=_WRONG_ROLE,
    ),
    reading(
        "/replication/diverged",
        "divergences",
        "What this node took back, when, and why.",
        {200: Answer("The divergences.", Divergences)},
        _divergences,
    ),
    reading(
        "/replication/diverged/{id}",
        "divergence",
        "The rows of one divergence.",
        {200: Answer("One JSON object a line.", media_type=JSON_LINES)},
        _divergence,
        parameters=(
            Parameter("id", "path", {"type": "string"}, "The divergence's id."),
        ),
        problems=(NotFoundError,),
    ),
    Call(
        "POST",
        "/replication/promote",
        "promote",
        "Make this replica the master, in a higher epoch; or say what that may lose.",
        {200: Answer("The new master's status; what may be lost.", Promoted | Losses)},
        _promote,
        body=PromoteRequest,
        problems=_WRONG_ROLE,
    ),
    Call(
        "POST",
        "/replication/pause",
        "pause",
        "A replica stops applying until it is resumed, restarts included, but goes on "
        "receiving; a master stops its streams.",
        _STATUS,
        _pause,
        body=PauseRequest,
        problems=(NotFoundError, WrongRoleError),
    ),
    Call(
        "POST",
        "/replication/resume",
        "resume",
        "Undo a pause; on a delayed replica perhaps with all that it holds back.",
        _STATUS,
        _resume,
        body=ResumeRequest,
        problems=(NotFoundError, WrongRoleError),
    ),
    Call(
        "POST",
        "/replication/apply",
        "apply",
        "A replica applies up to a chosen entry, however young, and stays paused.",
        _STATUS,
        _apply,
        body=Empty,
        parameters=(
            Parameter("until", "query", NUMBER, "The last entry; else of those here."),
            Parameter(
                "before_us",
                "query",
                NUMBER,
                "No entry written then or later, microseconds since 1970.",
            ),
        ),
        problems=(RequestError, WrongRoleError),
    ),
    Call(
        "POST",
        "/replication/start",
        "start",
        "Take a role at run time.",
        _STATUS,
        _start,
        body=StartRequest,
        body_required=True,
        problems=(ConfigurationError, WrongRoleError),
    ),
    Call(
        "POST",
        "/replication/stop",
        "stop",
        "Leave replication: what remains is standalone, or a voter that takes no part.",
        _STATUS,
        _stop,
        body=Empty,
        problems=(ClusterChangeError, WrongRoleError),
    ),
    Call(
        "POST",
        "/replication/verify",
        "begin_verify",
        "Make every node hash its tables at one offset.",
        {200: Answer("The offset.", VerificationMark)},
        _begin_verify,
        body=Empty,
        problems=_WRONG_ROLE,
    ),
    reading(
        "/replication/verify/{offset}",
        "verification",
        "This node's content hashes at that offset.",
        {
            200: Answer("The hashes.", Verification),
            202: Answer("Not ready: ask again after Retry-After.", VerificationMark),
        },
        _verification,
        parameters=(
            Parameter(
                "offset",
                "path",
                NUMBER,
                "What POST /replication/verify answered.",
            ),
        ),
        problems=(NotFoundError,),
    ),
)
