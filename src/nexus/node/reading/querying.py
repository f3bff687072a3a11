"""Answer a query from a reader, with errors of Nexus's own."""

import apsw

from nexus.errors import NodeStoppedError
from nexus.storage.capture import Statement, StatementResult
from nexus.storage.sqlite.complaints import (
    BINDING_ERRORS,
    binding_error,
    statement_error,
)
from nexus.storage.sqlite.connections import fetch


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
    except apsw.InterruptError:
        raise NodeStoppedError("this node is stopping; read on another one") from None
    except apsw.Error as error:
        raise statement_error(error, index) from error
    except BINDING_ERRORS as error:
        raise binding_error(error, index) from error
    return StatementResult.of_query(columns, rows)
