"""Answer a query from a reader, with errors of Nexus's own."""

from typing import Final

import apsw

from nexus.errors import NexusError, NodeStoppedError
from nexus.storage.capturing.results import Statement, StatementResult
from nexus.storage.sqlite.complaints import (
    BINDING_ERRORS,
    binding_error,
    statement_error,
)
from nexus.storage.sqlite.connections import fetch

FAILURES: Final = (apsw.Error, *BINDING_ERRORS)
"""What SQLite, or the way to it, raises of a query."""


def query(
    reader: apsw.Connection, statement: Statement, index: int = 0
) -> StatementResult:
    """All rows of a query on this connection, the request's statement `index`.

    Raises StatementError, and NodeStoppedError where the node stops meanwhile.
    """
    try:
        columns, rows = fetch(
            reader,
            statement.sql,
            statement.params or (),
            most_bytes=statement.most_bytes,
        )
    except FAILURES as error:
        raise failure_of(error, index) from error
    return StatementResult.of_query(columns, rows)


def failure_of(error: Exception, index: int = 0) -> NexusError:
    """What a client is told of one of FAILURES; an interrupt is a stopping node's."""
    if isinstance(error, apsw.InterruptError):
        return stopping()
    if isinstance(error, apsw.Error):
        return statement_error(error, index)
    return binding_error(error, index)


def stopping() -> NodeStoppedError:
    """What a client is told whose query the node does not run to its end."""
    return NodeStoppedError("this node is stopping; read on another one")
