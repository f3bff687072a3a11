"""What is said in Hrana over a WebSocket, in JSON: requests of many streams."""

import msgspec

from nexus.api.hrana.messages import (
    BatchRequest,
    CloseSqlRequest,
    DescribeRequest,
    ExecuteRequest,
    Number32,
    SequenceRequest,
    StoreSqlRequest,
)
from nexus.api.hrana.results import HranaError, StreamResponse


class OpenStream(msgspec.Struct, frozen=True, tag="open_stream"):
    """A new stream."""

    stream_id: Number32


class CloseStream(msgspec.Struct, frozen=True, tag="close_stream"):
    """The stream is needed no more."""

    stream_id: Number32


class Execute(ExecuteRequest, frozen=True, kw_only=True, tag="execute"):
    """Run a statement."""

    stream_id: Number32


class RunBatch(BatchRequest, frozen=True, kw_only=True, tag="batch"):
    """Run a batch."""

    stream_id: Number32


class RunSequence(SequenceRequest, frozen=True, kw_only=True, tag="sequence"):
    """Run a script."""

    stream_id: Number32


class Describe(DescribeRequest, frozen=True, kw_only=True, tag="describe"):
    """Tell what a statement takes and gives."""

    stream_id: Number32


OfStream = Execute | RunBatch | RunSequence | Describe

Request = OpenStream | CloseStream | OfStream | StoreSqlRequest | CloseSqlRequest


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Who the client is: its token, or the cluster's secret, where the node asks."""

    jwt: str | None = None


class Ask(msgspec.Struct, frozen=True, tag="request"):
    """A request, and the number that its answer brings."""

    request_id: Number32
    request: Request


Said = Hello | Ask


class HelloOk(msgspec.Struct, frozen=True, tag="hello_ok"):
    """The client may go on."""


class HelloError(msgspec.Struct, frozen=True, tag="hello_error"):
    """It may not."""

    error: HranaError


class StreamOpened(msgspec.Struct, frozen=True, tag="open_stream"):
    """It is open."""


class StreamClosed(msgspec.Struct, frozen=True, tag="close_stream"):
    """It is closed."""


Answered = StreamResponse | StreamOpened | StreamClosed


class ResponseOk(msgspec.Struct, frozen=True, tag="response_ok"):
    """A request that was carried out."""

    request_id: int
    response: Answered


class ResponseError(msgspec.Struct, frozen=True, tag="response_error"):
    """A request that was not."""

    request_id: int
    error: HranaError
