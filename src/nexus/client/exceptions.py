"""The exceptions of PEP 249, and which of Nexus's errors is told as which.

Every error that a connection raises is both: an instance of the class that PEP 249
names (`OperationalError`, …) and of Nexus's own (`TransactionExpiredError`, …), with
the `code` of the latter. Errors of Python's own stay themselves, as with `sqlite3`:
TypeError, ValueError, OverflowError, UnicodeEncodeError.
"""

from functools import cache
from typing import Any, Final

import apsw
from typing_extensions import override

from nexus.errors import NexusError


class Warning(Exception):  # noqa: A001, N818 - PEP 249's name
    """PEP 249's; Nexus raises none."""


class Error(NexusError):
    """Any error of a connection; `code` is stable across versions.

    `sqlite_errorcode` and `sqlite_errorname` are SQLite's, extended, or None.
    """

    sqlite_errorcode: int | None = None

    @property
    def sqlite_errorname(self) -> str | None:
        """As SQLite's documentation names it: `SQLITE_CONSTRAINT_UNIQUE`."""
        code = self.sqlite_errorcode
        return None if code is None else _name_of(code)

    @override
    def __reduce__(self) -> Any:
        own = type(self)
        if own in _both.values():
            return (_rebuild, (*own.__bases__, self.args), self.__dict__)
        return (own, self.args, self.__dict__)


class InterfaceError(Error):
    """The connection or cursor was used as it cannot be."""

    code = "interface"


class DatabaseError(Error):
    """An error of the database."""

    code = "database"


class DataError(DatabaseError):
    """A value is too large."""

    code = "data"


class OperationalError(DatabaseError):
    """What happened is not the program's doing: a lock, a lost node, a full disk."""

    code = "operational"


class IntegrityError(DatabaseError):
    """A constraint of the schema forbids it."""

    code = "integrity"


class InternalError(DatabaseError):
    """SQLite found itself in a state that should not be."""

    code = "internal"


class ProgrammingError(DatabaseError):
    """The program's own mistake: parameters, or a closed connection."""

    code = "programming"


class NotSupportedError(DatabaseError):
    """What cannot be replicated, or not be done over this session."""

    code = "not_supported"


_BY_CODE: Final[dict[str, type[Error]]] = {
    "constraint": IntegrityError,
    "statement_refused": NotSupportedError,
    "bad_request": ProgrammingError,
    "not_found": ProgrammingError,
    "configuration": ProgrammingError,
    "protocol": InterfaceError,
    "handshake_refused": InterfaceError,
    "log_corrupt": DatabaseError,
    "snapshot_invalid": DatabaseError,
    "apply": DatabaseError,
    "apply_conflict": DatabaseError,
    "schema_mismatch": DatabaseError,
}
"""Of Nexus's codes; all others are OperationalError."""

_BY_SQLITE_CODE: Final[dict[int, type[Error]]] = {
    apsw.SQLITE_INTERNAL: InternalError,
    apsw.SQLITE_NOTFOUND: InternalError,
    apsw.SQLITE_TOOBIG: DataError,
    apsw.SQLITE_CONSTRAINT: IntegrityError,
    apsw.SQLITE_MISMATCH: IntegrityError,
    apsw.SQLITE_MISUSE: InterfaceError,
    apsw.SQLITE_RANGE: InterfaceError,
    apsw.SQLITE_CORRUPT: DatabaseError,
    apsw.SQLITE_NOTADB: DatabaseError,
    apsw.SQLITE_AUTH: DatabaseError,
}
"""As Python's sqlite3 has them; all others are OperationalError."""

_PRIMARY: Final = 0xFF
"""An extended code's primary one stands in its lowest byte."""


def translated(error: NexusError) -> Error:
    """The error that a connection raises for a session's."""
    if isinstance(error, Error):
        return error
    made = _rebuild(_class_of(error), type(error), error.args)
    made.__dict__.update(error.__dict__)
    return made


def _class_of(error: NexusError) -> type[Error]:
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if error.code == "sql" and sqlite_code is not None:
        return _BY_SQLITE_CODE.get(sqlite_code & _PRIMARY, OperationalError)
    return _BY_CODE.get(error.code, OperationalError)


_both: Final[dict[tuple[type[Error], type[NexusError]], type[Error]]] = {}
"""Classes that are caught under either name."""


def _rebuild(pep: type[Error], own: type[NexusError], args: tuple[Any, ...]) -> Error:
    """An error that is both; by itself it is what unpickling calls."""
    made = _both.get((pep, own))
    if made is None:
        made = type(own.__name__, (pep, own), {"code": own.code})
        _both[pep, own] = made
    return made.__new__(made, *args)


@cache
def _name_of(code: int) -> str:
    for names in (apsw.mapping_extended_result_codes, apsw.mapping_result_codes):
        if code in names:
            return str(names[code])
    return "unknown"
