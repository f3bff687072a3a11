"""The API's description, made from the calls themselves and the types they speak."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from nexus.api.answers import CallView, Index
from nexus.api.calls import JSON, NUMBER, Answer, Call, Context, json_response, reading
from nexus.api.dashboard.files import page
from nexus.api.problems import MEDIA_TYPE, Problem
from nexus.api.reached import reached_by
from nexus.api.refusals import (
    BodyTooLargeError,
    BodyTooSlowError,
    BusyError,
    CrossOriginError,
    MediaTypeError,
    UnauthorisedError,
)
from nexus.api.statuses import row_of
from nexus.api.values import LEAST_INTEGER, MOST_INTEGER, TRANSACTION_ID_LIMIT
from nexus.errors import (
    ForbiddenError,
    NexusError,
    NodeStoppedError,
    RequestError,
    StorageError,
    TokenInDoubtError,
)
from nexus.node.network.addresses import reachable_url

API_VERSION: Final = "1"
DESCRIPTION: Final = (
    "A node of a SQLite database that lives on several machines. Errors are "
    "application/problem+json (RFC 9457) and say what to do."
)

REFERENCE: Final = "#/components/schemas/"

EVERYWHERE: Final = (CrossOriginError, NodeStoppedError, NexusError, StorageError)
WITH_BODY: Final = (
    RequestError,
    BodyTooSlowError,
    BodyTooLargeError,
    MediaTypeError,
    BusyError,
)

VALUE: Final = {
    "description": "A value of SQL. Objects stand for what JSON has no word for.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "integer", "minimum": LEAST_INTEGER, "maximum": MOST_INTEGER},
        {"type": "number"},
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "$blob": {
                    "type": "string",
                    "contentEncoding": "base64",
                    "pattern": "^([A-Za-z0-9+/]{4})*"
                    "([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
                }
            },
            "required": ["$blob"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"$float": {"enum": ["Infinity", "-Infinity"]}},
            "required": ["$float"],
            "additionalProperties": False,
        },
    ],
}


def document(calls: Sequence[Call]) -> dict[str, Any]:
    """The description as an OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nexus",
            "version": API_VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(calls),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token (POST /tokens), or the cluster secret, "
                    "which may do everything. Needed where tokens exist, where the "
                    "node listens beyond loopback, and with security.require_tokens.",
                }
            },
        },
    }


def _operation(call: Call) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.name,
        "summary": call.summary,
        "description": _who_may(call),
        "responses": _responses(call),
        "security": [] if call.role is None else [{}, {"bearer": []}],
    }
    if call.parameters:
        operation["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.where == "path",
                "schema": dict(parameter.schema),
                "description": parameter.description,
            }
            for parameter in call.parameters
        ]
    if call.body is not None:
        operation["requestBody"] = {
            "required": call.body_required,
            "content": {JSON: {"schema": _reference(call.body)}},
        }
    return operation


def _who_may(call: Call) -> str:
    if call.role is None:
        return "Anybody may call it."
    return f"Needs a token of the role `{call.role}`, where tokens are needed."


def _responses(call: Call) -> dict[str, Any]:
    responses = {
        str(status): _answer(answer) for status, answer in call.answers.items()
    }
    titles: dict[int, list[str]] = {}
    for error in _errors_of(call):
        row = row_of(error)
        titles.setdefault(row.status, []).append(f"`{error.code}`: {row.title}.")
    for status, told in sorted(titles.items()):
        responses[str(status)] = {
            "description": " ".join(dict.fromkeys(told)),
            "content": _told_as(call),
        }
    return responses


def _told_as(call: Call) -> dict[str, Any]:
    """How an error of the call is told."""
    told = {MEDIA_TYPE: {"schema": _reference(Problem)}}
    if call.failure is not None:
        told[JSON] = {"schema": _reference(call.failure)}
    return told


def _errors_of(call: Call) -> list[type[NexusError]]:
    found = [*call.problems, *EVERYWHERE]
    if call.role is not None:
        found += [UnauthorisedError, ForbiddenError, TokenInDoubtError]
    if call.body is not None:
        found.extend(WITH_BODY)
    if call.parameters:
        found.append(RequestError)
    return list(dict.fromkeys(found))


def _answer(answer: Answer) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if answer.type is not None:
        kinds = get_args(answer.type) or (answer.type,)
        references = [_reference(kind) for kind in kinds]
        schema = references[0] if len(references) == 1 else {"anyOf": references}
    content = {answer.media_type: {"schema": schema}}
    if answer.other_form:
        content[answer.other_form] = {"schema": {"type": "string"}}
    return {"description": answer.description, "content": content}


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": REFERENCE + kind.__name__}


def _schemas(calls: Iterable[Call]) -> dict[str, Any]:
    kinds: list[Any] = [Problem]
    for call in calls:
        kinds.extend(kind for kind in (call.body, call.failure) if kind is not None)
        for answer in call.answers.values():
            if answer.type is not None:
                kinds.extend(get_args(answer.type) or [answer.type])
    _, schemas = msgspec.json.schema_components(
        list(dict.fromkeys(kinds)), ref_template=REFERENCE + "{name}"
    )
    _say_what_types_cannot(schemas)
    return schemas


def _say_what_types_cannot(schemas: dict[str, Any]) -> None:
    """Add the bounds that handlers check by hand."""
    value = {"$ref": REFERENCE + "Value"}
    schemas["Value"] = VALUE
    schemas["SqlStatement"]["properties"]["params"] = {
        "anyOf": [
            {"type": "array", "items": value},
            {"type": "object", "additionalProperties": value},
        ],
        "default": [],
        "description": "By place, or by name without the leading `:`, `@` or `$`.",
    }
    schemas["SqlResult"]["properties"]["rows"] = {
        "type": "array",
        "items": {"type": "array", "items": value},
    }
    change = schemas["Change"]["properties"]
    for side in ("key", "old", "new"):
        change[side]["anyOf"][0]["additionalProperties"] = value
    request = schemas["SqlRequest"]["properties"]
    request["statements"]["minItems"] = 1
    request["transaction_id"]["maxLength"] = TRANSACTION_ID_LIMIT
    request["min_offset"]["anyOf"][0] |= NUMBER


def calls_about(calls: Sequence[Call]) -> tuple[Call, ...]:
    """The calls that describe `calls` and themselves."""

    async def describe(_context: Context, _request: Request) -> Response:
        return json_response(document(all_calls))

    async def index(context: Context, request: Request) -> Response:
        if JSON not in request.headers.get("accept", ""):
            host = reached_by(request)
            urls = await context.lookout.urls()
            return page(reachable_url(url, host) for url in urls)
        views = [CallView(call.method, call.path, call.summary) for call in all_calls]
        node = context.node
        return json_response(
            Index(node.node_id, node.status().role, "/openapi.json", views)
        )

    about = (
        reading(
            "/openapi.json",
            "openapi",
            "This description.",
            {200: Answer("An OpenAPI 3.1 document.")},
            describe,
        ),
        Call(
            "GET",
            "/",
            "index",
            "The dashboard; with `Accept: application/json` all calls.",
            {200: Answer("The calls.", Index, other_form="text/html")},
            index,
            role=None,
        ),
    )
    all_calls = (*calls, *about)
    return about
