"""What only the HTTP side can refuse: a RequestError is the caller's own mistake.

`headers` are sent with the answer.
"""

from collections.abc import Mapping
from typing import ClassVar

from nexus.errors import NexusError, RequestError


class UnauthorisedError(RequestError):
    """The call carries no token that is known here, and not the secret."""

    code = "unauthorised"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="nexus"'}


class CrossOriginError(RequestError):
    """A web page of another site sent the call."""

    code = "cross_origin"


class NoSuchCallError(RequestError):
    """No call has this path."""

    code = "no_such_call"


class MethodNotAllowedError(RequestError):
    """The path is known under other methods."""

    code = "method_not_allowed"

    def __init__(self, message: str, *, allowed: str) -> None:
        super().__init__(message)
        self.headers = {"Allow": allowed}


class NotHttpError(RequestError):
    """The bytes are no HTTP request."""

    code = "not_http"


class HeadTooLargeError(RequestError):
    """The request's head exceeds the limit."""

    code = "head_too_large"


class HeadTooSlowError(RequestError):
    """The request's head did not arrive in time."""

    code = "head_too_slow"


class BodyTooLargeError(RequestError):
    """The request's body exceeds the limit."""

    code = "body_too_large"


class BodyTooSlowError(RequestError):
    """The request's body did not arrive in time."""

    code = "body_too_slow"


class MediaTypeError(RequestError):
    """The request's body is not declared as JSON."""

    code = "media_type"


class RangeError(RequestError):
    """The file has no byte of the range asked for."""

    code = "range"

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.headers = {"Content-Range": f"bytes */{size}"}


class ArgumentsError(RequestError):
    """A statement's parameters and arguments do not fit each other."""

    code = "args_invalid"


class SqlTextError(RequestError):
    """Not just one of `sql` and `sql_id`, or an id that is not known, or is taken."""

    code = "sql_text_invalid"


class NoStatementError(RequestError):
    """A text that is to be a statement has none."""

    code = "sql_no_statement"


class SeveralStatementsError(RequestError):
    """A text that is to be one statement has more."""

    code = "sql_many_statements"


class StreamGoneError(RequestError):
    """No stream of this node has this baton: it has expired, or never was one."""

    code = "stream_expired"


class BatonUsedError(RequestError):
    """A baton is good for one request."""

    code = "baton_reused"


class StreamClosedError(RequestError):
    """The stream was closed by an earlier request of the same pipeline."""

    code = "stream_closed"


class TooManyStreamsError(NexusError):
    """The node keeps no more streams, or no more of their texts."""

    code = "too_many_streams"


class NotReadyError(NexusError):
    """A health check's no."""

    code = "not_ready"


class BusyError(NexusError):
    """Too many large requests at once; nothing happened."""

    code = "busy"


class TooManyConsumersError(NexusError):
    """As many read the changes as may."""

    code = "too_many_consumers"


class CrowdedError(NexusError):
    """Too many connections are open; this one was closed unheard."""

    code = "too_many_connections"


class AnswerLostError(NexusError):
    """Nobody knows what became of a write: its answer was lost, or cut off."""

    code = "outcome_unknown"
