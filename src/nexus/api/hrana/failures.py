"""Errors as Hrana tells them: a message, and a code in capitals.

What SQLite refuses has SQLite's own code, some have the code that libSQL's server gives
them, and the rest have Nexus's.
"""

from typing import Final

import apsw
import msgspec
from starlette.responses import Response

from nexus import errors
from nexus.api.calls import JSON
from nexus.api.hrana.results import HranaError
from nexus.api.statuses import headers_of, row_of

_LIBSQL: Final = {
    "transaction_expired": "TRANSACTION_TIMEOUT",
    "answer_too_large": "RESPONSE_TOO_LARGE",
}

_PRIMARY: Final = 0xFF
"""The bits of SQLite's code that its extended codes share."""

_encode: Final = msgspec.json.Encoder().encode


class ToldError(errors.NexusError):
    """What another node said of a request that was passed on to it."""

    def __init__(self, told: HranaError) -> None:
        super().__init__(told.message)
        self.told = told


def code_of(error: errors.NexusError) -> str:
    """The code that a client finds with the error."""
    if isinstance(error, errors.StatementError):
        number = error.sqlite_errorcode or apsw.SQLITE_ERROR
        return str(apsw.mapping_result_codes.get(number & _PRIMARY, "SQLITE_ERROR"))
    return _LIBSQL.get(error.code, error.code.upper())


def failure_of(error: errors.NexusError) -> HranaError:
    """The error as it stands among results."""
    if isinstance(error, ToldError):
        return error.told
    offset = getattr(error, "error_offset", None)
    return HranaError(str(error), code_of(error), offset)


def refusal(error: errors.NexusError) -> Response:
    """The error as an answer of its own: the stream, if there was one, is gone."""
    return Response(
        _encode(failure_of(error)),
        status_code=row_of(type(error)).status,
        headers=headers_of(error),
        media_type=JSON,
    )
