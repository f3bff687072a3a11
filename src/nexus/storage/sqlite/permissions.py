"""What a client's statement may touch, judged by SQLite's own compiler.

The second line behind `model.statements`: SQLite asks here, while it compiles, about
each thing that a statement (or a trigger of it) would do
(https://www.sqlite.org/c3ref/set_authorizer.html).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final

import apsw

from nexus.model.pragmas import is_read
from nexus.storage.schema.system import PREFIX

MOST_PASSED: Final = 4_096
"""Texts remembered; a client that puts values into its texts has many."""


class Scope(Enum):
    """What a client's statement that is being compiled is for."""

    ROWS = auto()
    """A client's query or row change."""
    SCHEMA = auto()
    """A client's schema statement, ANALYZE or REINDEX."""
    DROP_TABLE = auto()
    """…which takes Nexus's TEMP triggers on the table with it."""


_READS: Final = {
    apsw.SQLITE_SELECT,
    apsw.SQLITE_READ,
    apsw.SQLITE_FUNCTION,
    apsw.SQLITE_RECURSIVE,
}

_ROW_CHANGES: Final = {apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE}

_PAST_THE_LOG: Final = {apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH}

_CONTROL: Final = {apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT}

_LOCAL: Final = {apsw.SQLITE_ANALYZE, apsw.SQLITE_REINDEX}

_TEMPORARY: Final = {
    apsw.SQLITE_CREATE_TEMP_INDEX,
    apsw.SQLITE_CREATE_TEMP_TABLE,
    apsw.SQLITE_CREATE_TEMP_TRIGGER,
    apsw.SQLITE_CREATE_TEMP_VIEW,
    apsw.SQLITE_DROP_TEMP_INDEX,
    apsw.SQLITE_DROP_TEMP_TABLE,
    apsw.SQLITE_DROP_TEMP_TRIGGER,
    apsw.SQLITE_DROP_TEMP_VIEW,
}


class Permissions:
    """The writer connection's authorizer, set only while a new text is compiled.

    SQLite asks for each part of each compiled statement, and a session compiles some
    for every transaction: to be asked always costs more than the insertion of a row.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.refusal = ""
        """Why the last refused statement was refused."""
        self.passed: dict[str, bool] = {}
        """Queries and row changes that may run under the schema as it is, and whether
        they can give rows."""
        self._connection = connection
        self._scope = Scope.ROWS

    @contextmanager
    def within(self, scope: Scope) -> Iterator[None]:
        """Judge what is compiled as long as the context lives; never nested."""
        self._scope = scope
        self._connection.authorizer = self._judge
        try:
            yield
        finally:
            self._connection.authorizer = None

    def remember(self, sql: str, *, gives_rows: bool) -> None:
        """This text has passed in Scope.ROWS."""
        if len(self.passed) >= MOST_PASSED:
            self.passed.clear()
        self.passed[sql] = gives_rows

    def forget(self) -> None:
        """The schema is another one: what passed under the old one is judged anew."""
        self.passed.clear()

    def _judge(
        self,
        action: int,
        first: str | None,
        second: str | None,
        schema: str | None,
        _: str | None,
    ) -> int:
        if action in _READS:
            return apsw.SQLITE_OK
        refusal = self._refusal(action, first or "", second or "", schema or "")
        if not refusal:
            return apsw.SQLITE_OK
        self.refusal = refusal
        return apsw.SQLITE_DENY

    def _refusal(self, action: int, first: str, second: str, schema: str) -> str:
        """Why this may not be done; empty if it may."""
        if action in _ROW_CHANGES:
            return _RESERVED if _is_reserved(first) else ""
        if action == apsw.SQLITE_PRAGMA:
            allowed = is_read(first.lower(), has_argument=bool(second))
            return "" if allowed else f"PRAGMA {first} may not be set here"
        if action in _PAST_THE_LOG:
            return PAST_THE_LOG
        if action in _CONTROL:
            return _NOT_HERE if _is_reserved(second) or not second else ""
        return self._schema_refusal(action, first, second, schema)

    def _schema_refusal(self, action: int, first: str, second: str, schema: str) -> str:
        if self._scope is Scope.ROWS:
            return _NOT_HERE
        if action in _TEMPORARY or schema == "temp":
            goes_along = action == apsw.SQLITE_DROP_TEMP_TRIGGER
            return "" if goes_along and self._scope is Scope.DROP_TABLE else TEMPORARY
        if action in _LOCAL:
            return ""
        return _RESERVED if _is_reserved(first) or _is_reserved(second) else ""


PAST_THE_LOG: Final = (
    "ATTACH and DETACH would write past the log: only the main database is "
    "replicated; import the other file's rows instead"
)

TEMPORARY: Final = (
    "temporary objects live in one connection, and all clients share this node's "
    "writer; use an ordinary table, or WITH"
)

_RESERVED: Final = (
    f"names that begin with {PREFIX} are Nexus's own and cannot be written"
)

_NOT_HERE: Final = (
    "this statement does more than its first word says; send each statement as one "
    "of its own"
)


def _is_reserved(name: str) -> bool:
    return name.lower().startswith(PREFIX)
