"""Answer a query from a reader, with errors of Nexus's own."""

from typing import Final

import apsw

from nexus.errors import NodeStoppedError
from nexus.storage.capture import Statement, StatementResult
from nexus.storage.complaints import BINDING_ERRORS, binding_error, statement_error
from nexus.storage.connections import fetch

_READ_SCHEMA: Final = "select 1 from sqlite_schema limit 0"
"""PRAGMAs that tell of the schema answer from memory, however old: SQLite looks whether
it still is so only where a statement begins to read the file."""


def query(
    reader: apsw.Connection, statement: Statement, index: int = 0
) -> StatementResult:
    """All rows of a query on this connection, the request's statement `index`.

    Raises StatementError, and NodeStoppedError where the node stops meanwhile.
    """
    try:
        if "pragma" in statement.sql.lower():
            reader.execute(_READ_SCHEMA)
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
