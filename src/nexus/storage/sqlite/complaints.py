"""SQLite's and Python's errors about a client's statement, as Nexus's own."""

from typing import Final

import apsw

from nexus.errors import ConstraintError, NexusError, StatementError
from nexus.storage.sqlite.connections import storage_error

BINDING_ERRORS: Final = (TypeError, ValueError, OverflowError, LookupError)
"""What apsw raises for parameters that are missing or of no use to SQLite, and for
text that is not UTF-8."""

_OF_THE_DISK: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    apsw.CantOpenError,
)


_REASONS: Final = {
    "not authorized": "not authorized: a node loads no extensions, so that what one of "
    "them can run, all can",
}
"""What SQLite says, where it says too little."""


def statement_error(error: apsw.Error, index: int) -> NexusError:
    """SQLite's error as one of ours, with its message and the statement's index."""
    if isinstance(error, _OF_THE_DISK):
        return storage_error("the statement could not be run", error)
    kind = (
        ConstraintError if isinstance(error, apsw.ConstraintError) else StatementError
    )
    # apsw's own complaints (a missing binding) have no code of SQLite's.
    code = getattr(error, "extendedresult", None)
    return kind(
        _REASONS.get(str(error), str(error)),
        index=index,
        sqlite_errorcode=code,
        error_offset=error_offset(error),
    )


def error_offset(error: apsw.Error) -> int | None:
    """The byte of the statement at which SQLite met it, where SQLite says so."""
    place: int = getattr(error, "error_offset", -1)
    return place if place >= 0 else None


def binding_error(error: Exception, index: int) -> StatementError:
    """Python's error about a value as one of ours."""
    message = str(error)
    if isinstance(error, KeyError):
        message = f"parameter {message} is missing"
    elif isinstance(error, UnicodeDecodeError):
        message = (
            f"a text that was read is not UTF-8 ({message}); read it as bytes, with "
            "CAST(column AS BLOB)"
        )
    return StatementError(message, index=index)
