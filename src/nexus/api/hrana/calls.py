"""Hrana's calls, as the API describes them."""

from typing import Final

import msgspec

from nexus.api.calls import Answer, Call
from nexus.api.hrana.messages import BatchBody, CursorBody, ExecuteBody, PipelineBody
from nexus.api.hrana.results import (
    BatchAnswer,
    ExecuteAnswer,
    HranaError,
    PipelineAnswer,
)
from nexus.api.refusals import (
    AnswerLostError,
    BatonUsedError,
    StreamGoneError,
    TooManyStreamsError,
)
from nexus.api.sql import OF_STATEMENTS
from nexus.api.streams import JSON_LINES
from nexus.errors import NexusError, NoMasterError
from nexus.model.token import TokenRole

_OF_STREAMS: Final = (
    StreamGoneError,
    BatonUsedError,
    TooManyStreamsError,
    NoMasterError,
    AnswerLostError,
)


def _post(
    path: str,
    name: str,
    summary: str,
    answer: Answer,
    body: type[msgspec.Struct],
    problems: tuple[type[NexusError], ...],
) -> Call:
    return Call(
        "POST",
        path,
        name,
        summary,
        {200: answer},
        handle=None,
        body=body,
        body_required=True,
        problems=problems,
        failure=HranaError,
        role=TokenRole.READ,
    )


def _get(path: str, name: str) -> Call:
    return Call(
        "GET",
        path,
        name,
        f"Whether this node speaks version {path[-1]} of Hrana over HTTP, in JSON.",
        {200: Answer("It does.", media_type="text/plain")},
        handle=None,
        failure=HranaError,
        role=TokenRole.READ,
    )


_PIPELINE: Final = Answer("A result for each request.", PipelineAnswer)

CALLS: Final = (
    _get("/v2", "hrana_2"),
    _get("/v3", "hrana_3"),
    _post(
        "/v2/pipeline",
        "hrana_2_pipeline",
        "Hrana 2: carry out requests on a stream.",
        _PIPELINE,
        PipelineBody,
        _OF_STREAMS,
    ),
    _post(
        "/v3/pipeline",
        "hrana_3_pipeline",
        "Hrana 3: carry out requests on a stream.",
        _PIPELINE,
        PipelineBody,
        _OF_STREAMS,
    ),
    _post(
        "/v3/cursor",
        "hrana_3_cursor",
        "Hrana 3: run a batch on a stream, its rows as they are read.",
        Answer("Lines of JSON.", media_type=JSON_LINES),
        CursorBody,
        _OF_STREAMS,
    ),
    _post(
        "/v1/execute",
        "hrana_1_execute",
        "The first libSQL HTTP API: run one statement.",
        Answer("What it gave.", ExecuteAnswer),
        ExecuteBody,
        OF_STATEMENTS,
    ),
    _post(
        "/v1/batch",
        "hrana_1_batch",
        "The first libSQL HTTP API: run a batch.",
        Answer("What each step gave.", BatchAnswer),
        BatchBody,
        OF_STATEMENTS,
    ),
)
