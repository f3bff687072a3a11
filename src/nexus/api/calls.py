"""What a call of the API is: the routes and their description are made from it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from nexus.api.audit import ASKED
from nexus.api.bodies import BodyReader, check_media_type, decoded
from nexus.api.consumers import Consumers
from nexus.api.facade import NodeFacade
from nexus.api.lookout import Lookout
from nexus.errors import NexusError, RequestError
from nexus.model.token import TokenRole

JSON: Final = "application/json"

ADMITTED: Final = "nexus.admitted"
"""In the scope of a request: asks whether its caller would be let in now."""

MAY: Final = "nexus.may"
"""In the scope of a request: the role of its caller."""

MOST_DIGITS: Final = 18
"""Every such number fits 64 bits."""

MOST_NUMBER: Final = 10**MOST_DIGITS - 1
"""The largest number in a path or a query."""

NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": MOST_NUMBER}
"""The schema of such a number."""

_encode: Final = msgspec.json.Encoder().encode

Body = TypeVar("Body", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Context:
    """What every handler may use."""

    node: NodeFacade
    bodies: BodyReader
    lookout: Lookout
    consumers: Consumers = field(default_factory=Consumers)


Handler = Callable[[Context, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value in the path or the query."""

    name: str
    where: str
    """`path` or `query`."""
    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call answers under one status; `type` None: a `media_type` of bytes."""

    description: str
    type: Any = None
    media_type: str = JSON
    other_form: str = ""
    """Another media type in which the same is told, if there is one."""


@dataclass(frozen=True, slots=True)
class Call:
    """One method of one path."""

    method: str
    path: str
    name: str
    """Its operation id."""
    summary: str
    answers: Mapping[int, Answer]
    handle: Handler | None
    """None: an ASGI application of its own serves the path."""
    body: type[msgspec.Struct] | None = None
    body_required: bool = False
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[type[NexusError], ...] = field(default=())
    """The errors of its own, beside those that every call has."""
    failure: type[msgspec.Struct] | None = None
    """What tells of its errors, in JSON; None: problems alone."""
    role: TokenRole | None = TokenRole.ADMIN
    """What a token must allow; None: anybody may call, load balancers have none."""


reading: Final = partial(Call, "GET", role=TokenRole.READ)
"""A call that tells something, and changes nothing."""


def json_response(value: Any, status: int = 200) -> Response:
    """The value as JSON."""
    return Response(_encode(value), status_code=status, media_type=JSON)


async def read_body(context: Context, request: Request, kind: type[Body]) -> Body:
    """The request's body; without one, what its fields are by default.

    Raises a RequestError that names the field at fault.
    """
    headers = dict(request.scope["headers"])
    body = await context.bodies.read(headers, request.receive)
    try:
        if body:
            check_media_type(headers)
        asked = decoded(msgspec.json.Decoder(kind), body or b"{}")
        request.scope[ASKED] = msgspec.to_builtins(asked)
        return asked
    finally:
        context.bodies.release(body)


def path_number(request: Request, name: str) -> int:
    """A whole number of the path, at least 0; raises RequestError."""
    return _number(request.path_params[name], name)


def query_number(request: Request, name: str) -> int | None:
    """A whole number of the query, at least 0, or None; raises RequestError."""
    text = request.query_params.get(name)
    return None if text is None else _number(text, name)


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise RequestError(
            f"{name} = {text[:40]!r} is not a whole number of at most {MOST_DIGITS} "
            "digits"
        )
    return int(text)
