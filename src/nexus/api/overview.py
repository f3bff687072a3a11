"""Calls about all nodes at once: figures and events, of one node and of its cluster."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from nexus.api.calls import (
    MAY,
    MOST_DIGITS,
    NUMBER,
    Answer,
    Context,
    Parameter,
    json_response,
    query_number,
    reading,
)
from nexus.api.changestreams import EVENTS, ChangesResponse, Events
from nexus.api.facade import Pieces
from nexus.api.figures import ClusterView, NodeFigures, figures_of
from nexus.api.reached import as_reached, reached_by
from nexus.api.refusals import TooManyConsumersError
from nexus.api.security import bearer
from nexus.api.watchers import ClusterWatcher, EventWatcher
from nexus.model.token import read_token
from nexus.node.telemetry.events import NodeEvent


class EventsView(msgspec.Struct, frozen=True):
    """GET /events: oldest first."""

    events: tuple[NodeEvent, ...]


async def _node(context: Context, request: Request) -> Response:
    since = query_number(request, "events_since")
    figures = figures_of(context.node, since or 0)
    return json_response(as_reached(figures, reached_by(request)))


async def _cluster(context: Context, request: Request) -> Response:
    seen = await context.lookout.look(_token_of(request))
    view = msgspec.structs.replace(seen, may=request.scope[MAY])
    return json_response(as_reached(view, reached_by(request)))


async def _cluster_events(context: Context, request: Request) -> Response:
    last_id = request.headers.get("last-event-id", "")
    host = reached_by(request)
    token = _token_of(request)
    watcher = ClusterWatcher(
        context.lookout, last_id, host=host, token=token, may=request.scope[MAY]
    )
    return _stream(context, watcher)


def _token_of(request: Request) -> str:
    """The token that let the caller in; empty: none did, or the secret."""
    given = bearer(dict(request.headers.raw))
    return given if read_token(given) is not None else ""


async def _events(context: Context, request: Request) -> Response:
    since = query_number(request, "since") or 0
    if EVENTS not in request.headers.get("accept", ""):
        return json_response(EventsView(context.node.events.since(since)))
    told = request.headers.get("last-event-id", "")
    if told.isascii() and told.isdecimal() and len(told) <= MOST_DIGITS:
        since = max(since, int(told))
    return _stream(context, EventWatcher(context.node.events, since))


def _stream(context: Context, pieces: Pieces) -> Response:
    context.consumers.enter()
    return ChangesResponse(pieces, Events(), context.consumers)


CALLS: Final = (
    reading(
        "/cluster",
        "cluster",
        "Every node that this one knows of, and its state.",
        {200: Answer("The cluster.", ClusterView)},
        _cluster,
    ),
    reading(
        "/cluster/events",
        "cluster_events",
        "The same as server-sent events: all of it first, then what changes.",
        {
            200: Answer(
                "Events `cluster`, `node` (a node that has changed), `gone` (its id), "
                "`happened` (`node_id` and its `event`; Last-Event-ID resumes behind "
                "it) and `looked` (after each look).",
                media_type=EVENTS,
            )
        },
        _cluster_events,
        problems=(TooManyConsumersError,),
    ),
    reading(
        "/cluster/node",
        "figures",
        "All figures of this node in one answer.",
        {200: Answer("The figures.", NodeFigures)},
        _node,
        parameters=(
            Parameter(
                "events_since",
                "query",
                NUMBER,
                "Only events with a greater id.",
            ),
        ),
    ),
    reading(
        "/events",
        "events",
        "What happened on this node since it started: the last 500 events.",
        {
            200: Answer(
                "The events; with `Accept: text/event-stream` each as `happened`, and "
                "those to come (Last-Event-ID resumes).",
                EventsView,
                other_form=EVENTS,
            )
        },
        _events,
        parameters=(
            Parameter(
                "since",
                "query",
                NUMBER,
                "Only events with a greater id.",
            ),
        ),
        problems=(TooManyConsumersError,),
    ),
)
