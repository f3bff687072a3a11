"""What is answered on a stream that is no more: it idled, or its node has stopped.

A client that is told that its stream is closed begins another one by itself. It is told
so where nothing but the stream is lost; where a transaction may be, only when it ends
it: nothing that was meant for the transaction is to be done outside.
"""

from typing import Final

import msgspec
from starlette.responses import Response

from nexus.api.calls import json_response
from nexus.api.hrana.failures import failure_of
from nexus.api.hrana.messages import CloseRequest, CursorBody, PipelineBody
from nexus.api.hrana.results import (
    CursorAnswer,
    CursorError,
    ErrorResult,
    PipelineAnswer,
)
from nexus.api.hrana.streams import Baton
from nexus.api.refusals import StreamGoneError
from nexus.api.streams import JSON_LINES

_encode: Final = msgspec.json.Encoder().encode


def lost_pipeline(message: PipelineBody, error: StreamGoneError) -> Response:
    """The answer to a pipeline; raises the error where it is one of HTTP's too."""
    ends = any(isinstance(each, CloseRequest) for each in message.requests)
    if not ends and _held(message.baton):
        raise error
    told = ErrorResult(failure_of(error))
    return json_response(PipelineAnswer(None, None, [told] * len(message.requests)))


def lost_cursor(message: CursorBody, error: StreamGoneError) -> Response:
    """The answer to a cursor; raises the error where it is one of HTTP's too."""
    if _held(message.baton):
        raise error
    lines = (CursorAnswer(None, None), CursorError(failure_of(error)))
    content = b"".join([_encode(line) + b"\n" for line in lines])
    return Response(content, media_type=JSON_LINES)


def _held(text: str | None) -> bool:
    """Whether a transaction may have been open; of what is no baton nobody knows."""
    baton = None if text is None else Baton.of(text)
    return baton is None or baton.holds
