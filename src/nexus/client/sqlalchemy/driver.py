"""The names of a DB-API 2.0 module that SQLAlchemy asks a dialect's driver for."""

from typing import Any

import apsw

from nexus.client import connecting
from nexus.client.converters import Binary
from nexus.client.exceptions import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,  # noqa: A004 - PEP 249's name
)

apilevel = "2.0"
paramstyle = "qmark"
threadsafety = 1

sqlite_version = apsw.sqlite_lib_version()
sqlite_version_info = tuple(map(int, sqlite_version.split(".")))

__all__ = [
    "Binary",
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "sqlite_version",
    "sqlite_version_info",
    "threadsafety",
]


def connect(target: str, **options: Any) -> Any:
    """`nexus.connect`; ProgrammingError where the engine's URL names no place."""
    if not target:
        raise ProgrammingError(
            "the URL names no place: nexus://host:port/ for a cluster, "
            "nexus://[a:15475,b:15475]/ where several of its nodes are known, "
            "nexus:///data/dir for a directory in this machine"
        )
    return connecting.connect(target, **options)
