"""Errors as they travel to a client, and back to errors of the same class there."""

from typing import Final

from nexus import errors
from nexus.errors import NexusError
from nexus.protocol.calls import Failed

TOLD: Final = (
    "index",
    "offset",
    "master_url",
    "size_bytes",
    "limit_bytes",
    "sqlite_errorcode",
    "error_offset",
)
"""Attributes of errors that travel with them."""

MOST_MESSAGE: Final = 8_192
"""Characters of a message; SQLite quotes the statement in some."""

KINDS: Final[dict[str, type[NexusError]]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, NexusError)
}


def failed_of(error: NexusError, request_id: int, *, ended: bool = False) -> Failed:
    """The error as an answer to this request."""
    details = {
        name: value
        for name in TOLD
        if isinstance(value := getattr(error, name, None), int | str)
    }
    return Failed(request_id, error.code, str(error)[:MOST_MESSAGE], details, ended)


def error_of(failed: Failed) -> NexusError:
    """The error as it was raised on the node; of an unknown code, the plainest."""
    error = error_like(KINDS.get(failed.code, NexusError), failed.message)
    for name in TOLD:
        if name in failed.details:
            setattr(error, name, failed.details[name])
    return error


def error_like(kind: type[NexusError], message: str) -> NexusError:
    """An error of this kind, with all attributes that its catchers rely on."""
    error = kind.__new__(kind, message)
    Exception.__init__(error, message)
    for name, value in _DEFAULTS.get(kind, {}).items():
        setattr(error, name, value)
    return error


_SQL: Final[dict[str, int | str | None]] = {
    "index": 0,
    "sqlite_errorcode": None,
    "error_offset": None,
}
_DEFAULTS: Final[dict[type[NexusError], dict[str, int | str | None]]] = {
    errors.StatementError: _SQL,
    errors.ConstraintError: _SQL,
    errors.RefusedStatementError: {"index": 0},
    errors.TransactionTooLargeError: {"size_bytes": 0, "limit_bytes": 0},
    errors.ReadOnlyReplicaError: {"master_url": ""},
    errors.OutcomeUnknownError: {"offset": 0},
}
"""What whoever catches one relies on, though a node did not send it."""
