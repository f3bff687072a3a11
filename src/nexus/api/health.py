"""Calls for load balancers and supervisors: does it live, may it be used."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from nexus.api.answers import Health
from nexus.api.calls import (
    NUMBER,
    Answer,
    Call,
    Context,
    Parameter,
    json_response,
    query_number,
)
from nexus.api.refusals import NotReadyError
from nexus.model.cluster import Role


async def _health(context: Context, _request: Request) -> Response:
    return _well(context)


async def _ready(context: Context, request: Request) -> Response:
    ready, reason = context.node.ready(query_number(request, "max_lag"))
    if not ready:
        raise NotReadyError(reason)
    return _well(context)


async def _is_master(context: Context, _request: Request) -> Response:
    return _well_as(context, Role.MASTER)


async def _is_replica(context: Context, _request: Request) -> Response:
    return _well_as(context, Role.REPLICA)


def _well_as(context: Context, wanted: Role) -> Response:
    status = context.node.status()
    role = status.role
    if role is wanted and not status.running:
        raise NotReadyError(status.last_error)
    if role is not wanted:
        raise NotReadyError(f"this node is {_named(role)}, not {_named(wanted)}")
    return _well(context)


def _named(role: Role) -> str:
    return "a standalone node" if role is Role.STANDALONE else f"a {role}"


def _well(context: Context) -> Response:
    return json_response(Health("ok", context.node.node_id, context.node.status().role))


_OK: Final = {200: Answer("Yes.", Health)}

CALLS: Final = (
    Call("GET", "/health", "health", "The process lives.", _OK, _health, role=None),
    Call(
        "GET",
        "/ready",
        "ready",
        "It can serve: a replica is streaming and not too far behind.",
        _OK,
        _ready,
        parameters=(
            Parameter(
                "max_lag",
                "query",
                NUMBER,
                "Entries that a replica may be behind.",
            ),
        ),
        problems=(NotReadyError,),
        role=None,
    ),
    Call(
        "GET",
        "/health/master",
        "health_master",
        "It is a master.",
        _OK,
        _is_master,
        problems=(NotReadyError,),
        role=None,
    ),
    Call(
        "GET",
        "/health/replica",
        "health_replica",
        "It is a replica.",
        _OK,
        _is_replica,
        problems=(NotReadyError,),
        role=None,
    ),
)
