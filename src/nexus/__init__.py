"""Keep the SQLite database you love, and let it survive the loss of a machine.

    with nexus.open("data/", role="master") as node, node.connect() as connection:
        connection.execute("insert into t values (?)", (1,))

A node in this process is opened by `open`; its connections are DB-API 2.0 (PEP 249).
Any other process reads the node's database with plain `sqlite3`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import apsw
from apsw import complete as complete_statement

from nexus.client.changes import Change, Changes, changes
from nexus.client.connecting import connect
from nexus.client.connection import LEGACY_TRANSACTION_CONTROL, Connection
from nexus.client.converters import (
    BINARY,
    DATETIME,
    NUMBER,
    PARSE_COLNAMES,
    PARSE_DECLTYPES,
    ROWID,
    STRING,
    Binary,
    Date,
    DateFromTicks,
    PrepareProtocol,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    adapt,
    register_adapter,
    register_converter,
)
from nexus.client.cursor import Cursor
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
from nexus.client.row import Row
from nexus.errors import (
    ChangesGoneError,
    ConstraintError,
    NexusError,
    OutcomeUnknownError,
    PositionLostError,
    StatementError,
    TransactionError,
)
from nexus.model.position import Position

if TYPE_CHECKING:
    from nexus import aio
    from nexus.embedded.node import EmbeddedNode
    from nexus.embedded.node import open_node as open  # noqa: A004 - nexus.open(...)

apilevel = "2.0"
paramstyle = "qmark"
threadsafety = 1
"""Threads may share the module; each uses a connection of its own."""

sqlite_version = apsw.sqlite_lib_version()
sqlite_version_info = tuple(map(int, sqlite_version.split(".")))

__version__ = "0.2.0"

__all__ = [
    "BINARY",
    "DATETIME",
    "LEGACY_TRANSACTION_CONTROL",
    "NUMBER",
    "PARSE_COLNAMES",
    "PARSE_DECLTYPES",
    "ROWID",
    "STRING",
    "Binary",
    "Change",
    "Changes",
    "ChangesGoneError",
    "Connection",
    "ConstraintError",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "EmbeddedNode",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NexusError",
    "NotSupportedError",
    "OperationalError",
    "OutcomeUnknownError",
    "Position",
    "PositionLostError",
    "PrepareProtocol",
    "ProgrammingError",
    "Row",
    "StatementError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "TransactionError",
    "Warning",
    "__version__",
    "adapt",
    "aio",
    "apilevel",
    "changes",
    "complete_statement",
    "connect",
    "open",
    "paramstyle",
    "register_adapter",
    "register_converter",
    "sqlite_version",
    "sqlite_version_info",
    "threadsafety",
]

_LATER: Final = {
    "EmbeddedNode": ("nexus.embedded.node", "EmbeddedNode"),
    "open": ("nexus.embedded.node", "open_node"),
}
"""A whole node: who only connects to one does not wait until it is loaded."""


def __getattr__(name: str) -> Any:
    if name == "aio":
        return import_module("nexus.aio")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LATER[name]
    found = globals()[name] = getattr(import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
