"""Errors as RFC 9457 problems (their status codes are in `statuses`)."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from nexus import errors
from nexus.api.refusals import AnswerLostError
from nexus.api.statuses import headers_of, row_of

MOST_OF_A_DETAIL: Final = 4_096
"""Characters; some errors repeat what a caller has sent."""

MEDIA_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a call was not done, as RFC 9457 has it, with what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    """What happened, found against expected."""
    code: str
    """Stable across versions."""
    what_to_do: str
    index: int | UnsetType = UNSET
    """The statement at fault: its place in `statements`, from 0."""
    error_offset: int | UnsetType = UNSET
    """The byte of its UTF-8 text at which SQLite met the error, where it says so."""
    offset: int | UnsetType = UNSET
    """Where the write stands in the log, when its outcome is unknown."""
    master_url: str | UnsetType = UNSET
    """The node that can do it."""
    oldest_offset: int | UnsetType = UNSET
    """The first entry whose changes are still there."""
    resume_from: str | UnsetType = UNSET
    """Up to where a consumer of changes and this history agree."""


def problem_of(error: errors.NexusError, *, master_url: str = "") -> Problem:
    """The error as a client reads it; `master_url` names the node that can."""
    row = row_of(type(error))
    url = getattr(error, "master_url", "") or master_url
    place = getattr(error, "error_offset", None)
    return Problem(
        type=f"urn:nexus:problem:{error.code}",
        title=row.title,
        status=row.status,
        detail=str(error)[:MOST_OF_A_DETAIL],
        code=error.code,
        what_to_do=row.what_to_do,
        index=getattr(error, "index", UNSET),
        error_offset=UNSET if place is None else place,
        offset=getattr(error, "offset", UNSET),
        master_url=url or UNSET,
        oldest_offset=getattr(error, "oldest_offset", UNSET),
        resume_from=getattr(error, "resume_from", "") or UNSET,
    )


def problem_response(error: errors.NexusError, *, master_url: str = "") -> Response:
    """The error as an HTTP response."""
    return Response(
        _encode(problem_of(error, master_url=master_url)),
        status_code=row_of(type(error)).status,
        headers=headers_of(error),
        media_type=MEDIA_TYPE,
    )


def unexpected() -> errors.NexusError:
    """What a client is told of a bug; the log tells the rest."""
    return errors.NexusError("an unexpected error; it is in the node's log")


def cut_off() -> AnswerLostError:
    """What a client is told whose request was under way when its node stopped."""
    return AnswerLostError(
        "the node stopped before it could answer: what was to be written may be done "
        "or not"
    )


_encode: Final = msgspec.json.Encoder().encode
