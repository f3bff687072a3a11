"""GET /changes: the change feed, as server-sent events or as lines of JSON."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from nexus.api.calls import (
    MOST_NUMBER,
    NUMBER,
    Answer,
    Context,
    Parameter,
    query_number,
    reading,
)
from nexus.api.changestreams import EVENTS, ChangesResponse, Events, Lines
from nexus.api.refusals import TooManyConsumersError
from nexus.api.streams import JSON_LINES
from nexus.errors import (
    ChangesGoneError,
    NoDatabaseError,
    NotAppliedError,
    PositionLostError,
    RequestError,
)
from nexus.model.change import Change, Place
from nexus.model.names import folded
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.node.reading.changes import NO_LIMIT, Wish

MOST_TABLES: Final = 100
MOST_OF_A_PLACE: Final = 200
"""Characters."""

_PLACE: Final = r"^([0-9]{1,18}:[0-9]{1,18}@[^/]*|[0-9]{1,18})(/[0-9]{1,18})?$"

_NAMES: Final = frozenset(
    {"since", "from", "table", "until", "limit", "follow", "format", "heartbeat_ms"}
)

HEARTBEAT_MS: Final = 10_000
LEAST_HEARTBEAT_MS: Final = 100
MOST_HEARTBEAT_MS: Final = 60_000


async def _changes(context: Context, request: Request) -> Response:
    form = Events() if _wants_events(request) else Lines()
    wish = _wish(request)
    context.consumers.enter()
    try:
        stream = await context.node.changes(wish, form.change)
    except BaseException:
        context.consumers.leave()
        raise
    return ChangesResponse(stream, form, context.consumers)


def _wants_events(request: Request) -> bool:
    form = request.query_params.get("format")
    if form is None:
        return EVENTS in request.headers.get("accept", "")
    if form not in ("sse", "ndjson"):
        raise RequestError(f"format = {form[:40]!r}; it is sse or ndjson")
    return form == "sse"


def _wish(request: Request) -> Wish:
    for name in request.query_params:
        if name not in _NAMES:  # a misspelt `since` would skip changes unnoticed
            known = ", ".join(sorted(_NAMES))
            raise RequestError(f"{name[:40]!r} is no parameter; there are {known}")
    tables = request.query_params.getlist("table")
    if len(tables) > MOST_TABLES or not all(tables):
        raise RequestError(
            f"give table at most {MOST_TABLES} times, each time with one table's name"
        )
    heartbeat_ms = query_number(request, "heartbeat_ms")
    heartbeat_ms = HEARTBEAT_MS if heartbeat_ms is None else heartbeat_ms
    if not LEAST_HEARTBEAT_MS <= heartbeat_ms <= MOST_HEARTBEAT_MS:
        raise RequestError(
            f"heartbeat_ms = {heartbeat_ms}; it is from {LEAST_HEARTBEAT_MS} to "
            f"{MOST_HEARTBEAT_MS}"
        )
    until = query_number(request, "until")
    limit = query_number(request, "limit")
    return Wish(
        since=_since(request),
        tables=frozenset(map(folded, tables)),
        until=None if until is None else Offset(until),
        limit=NO_LIMIT if limit is None else limit,
        follow=_follows(request),
        heartbeat_s=heartbeat_ms / 1000,
    )


def _since(request: Request) -> Place | None:
    """Behind which place to begin; a browser that reconnects knows best."""
    text = request.headers.get("last-event-id") or request.query_params.get("since")
    first = query_number(request, "from")
    if first == 0:
        raise RequestError("from = 0; the first entry is 1")
    if text is None and first is None:
        return None
    if text is None:
        assert first is not None, "one of both is there"
        return Place(Position(Epoch(0), Offset(first - 1), HistoryId("")))
    return _place(text[: MOST_OF_A_PLACE + 1])


def _place(text: str) -> Place:
    try:
        place = Place.parse(text)
    except ValueError as error:
        raise RequestError(f"since: {error}") from None
    largest = max(place.position.offset, place.position.epoch, place.index or 0)
    if len(text) > MOST_OF_A_PLACE or largest > MOST_NUMBER:
        raise RequestError(
            f"since: a place has at most {MOST_OF_A_PLACE} characters, and no number "
            f"above {MOST_NUMBER}"
        )
    return place


def _follows(request: Request) -> bool:
    text = request.query_params.get("follow", "true")
    if text not in ("true", "false"):
        raise RequestError(f"follow = {text[:40]!r}; it is true or false")
    return text == "true"


def _number(name: str, description: str, least: int = 0, **more: Any) -> Parameter:
    schema = NUMBER | {"minimum": least} | more
    return Parameter(name, "query", schema, description)


CALLS: Final = (
    reading(
        "/changes",
        "changes",
        "Every committed row change in order, from any retained offset, live.",
        {
            200: Answer(
                "One change a line; with `Accept: text/event-stream` one an event. "
                "What ends it early is told by a last line whose `op` is `problem`.",
                Change,
                media_type=JSON_LINES,
                other_form=EVENTS,
            )
        },
        _changes,
        parameters=(
            Parameter(
                "since",
                "query",
                {"type": "string", "maxLength": MOST_OF_A_PLACE, "pattern": _PLACE},
                "Begin behind this: a change's `id`, or an offset. Without it and "
                "`from`: with what comes. The header Last-Event-ID outdoes it.",
            ),
            _number("from", "Begin with this entry; `since` outdoes it.", 1),
            Parameter(
                "table",
                "query",
                {"type": "array", "items": {"type": "string", "minLength": 1}}
                | {"maxItems": MOST_TABLES},
                "Rows and counters of these tables alone; again for each.",
            ),
            _number("until", "End behind this entry."),
            _number("limit", "End after so many changes."),
            Parameter(
                "follow",
                "query",
                {"type": "boolean", "default": True},
                "false: end with what is applied now.",
            ),
            Parameter(
                "format",
                "query",
                {"type": "string", "enum": ["ndjson", "sse"]},
                "Outdoes the header Accept.",
            ),
            _number(
                "heartbeat_ms",
                "After so long without a change tell how far the feed is.",
                LEAST_HEARTBEAT_MS,
                maximum=MOST_HEARTBEAT_MS,
                default=HEARTBEAT_MS,
            ),
        ),
        problems=(
            ChangesGoneError,
            PositionLostError,
            NotAppliedError,
            NoDatabaseError,
            TooManyConsumersError,
        ),
    ),
)
