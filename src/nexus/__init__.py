"""Keep the SQLite database you love, and let it survive the loss of a machine.

    with nexus.open("data/", role="master") as node, node.connect() as connection:
        connection.execute("insert into t values (?)", (1,))

A node in this process is opened by `open`; its connections are DB-API 2.0 (PEP 249).
Any other process reads the node's database with plain `sqlite3`.
"""

from nexus.embedded.node import EmbeddedNode
from nexus.embedded.node import open_node as open  # noqa: A004 - nexus.open(...)
from nexus.errors import (
    ConstraintError,
    NexusError,
    OutcomeUnknownError,
    StatementError,
    TransactionError,
)
from nexus.model.position import Position
from nexus.node.dbapi import (
    Connection,
    Cursor,
    InterfaceError,
    apilevel,
    paramstyle,
    threadsafety,
)

# The exceptions under the names of PEP 249.
Error = DatabaseError = NexusError
OperationalError = TransactionError
ProgrammingError = StatementError
IntegrityError = ConstraintError

__version__ = "0.1.0"

__all__ = [
    "Connection",
    "ConstraintError",
    "Cursor",
    "DatabaseError",
    "EmbeddedNode",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "NexusError",
    "OperationalError",
    "OutcomeUnknownError",
    "Position",
    "ProgrammingError",
    "StatementError",
    "TransactionError",
    "__version__",
    "apilevel",
    "open",
    "paramstyle",
    "threadsafety",
]
