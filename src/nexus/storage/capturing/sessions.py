"""SQLite's sessions on the writer's connection: one at a time, cut into operations.

A session notes which rows its connection changes while it is open; the operations are
what it says of them, put right where it is wrong (see `rowids` and `respelled`).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import apsw

from nexus.model.names import folded
from nexus.model.operation import Operation, Rows
from nexus.storage.capturing.rowids import Rowids
from nexus.storage.changesets.respelled import rows_operations
from nexus.storage.database import Database
from nexus.storage.schema.system import PREFIX
from nexus.storage.schema.tables import Table

_BESIDE: Final = ("sqlite_", PREFIX)
"""Tables that are no rows of the user's: counters are an operation of their own, and
statistics are each node's."""


class Sessions:
    """At most one is open; none is while nothing shall be noted."""

    def __init__(self, database: Database) -> None:
        self._writer = database.writer
        self._rowids = Rowids(database)
        self._open: apsw.Session | None = None
        self._touched: set[str] = set()
        self._watchful: frozenset[str] = frozenset()
        self.tables: dict[str, Table] = {}
        """Of the schema as it is now, by folded name."""
        self.has_virtual = False
        """Whether one of them is virtual: its rows may still wait in memory."""

    @property
    def size_bytes(self) -> int:
        """Memory that the changes of the open one take."""
        if self._open is None:
            return 0
        # New values take memory only once the changeset is made, old ones at once.
        return max(self._open.memory_used, self._open.changeset_size)

    def know(self, tables: dict[str, Table], *, has_virtual: bool) -> None:
        """The schema has changed: these are its tables."""
        self.tables, self.has_virtual = tables, has_virtual
        self._watchful = frozenset(
            name for name, table in tables.items() if table.watchful
        )
        self._rowids.know(tables)

    def begin(self, last: Iterable[Operation]) -> None:
        """A client's transaction begins; the one before it did `last`, and kept it."""
        self._rowids.begin(last)

    def open(
        self, so_far: Sequence[Operation], *, only: Collection[str] | None = None
    ) -> None:
        """Note changes from now on, of these tables alone if they are named.

        The client's transaction has done `so_far`.
        """
        session = apsw.Session(self._writer, "main")
        session.config(apsw.SQLITE_SESSION_OBJCONFIG_ROWID, 1)
        session.config(apsw.SQLITE_SESSION_OBJCONFIG_SIZE, 1)
        touched = self._touched = set()

        def wanted(table: str) -> bool:
            name = folded(table)
            touched.add(name)
            if only is not None:
                return name in only
            return not name.startswith(_BESIDE)

        session.table_filter(wanted)
        session.attach()
        self._open = session
        self._rowids.watch(so_far)

    def cut(self, so_far: Sequence[Operation]) -> tuple[list[Rows], int]:
        """End the open one: what it saw, and the bytes that takes; nothing if none is.

        The client's transaction had done `so_far` when it was opened.
        """
        session, self._open = self._open, None
        if session is None:
            return [], 0
        try:
            # Making the changeset flushes what FTS5 still holds in memory: the first
            # write of a statement that touched nothing else.
            wanted = self._touched or self.has_virtual
            changeset = session.changeset() if wanted else b""
        finally:
            session.close()
        changeset = self._rowids.put_right(changeset, self._touched, so_far)
        if not changeset:
            return [], 0
        watchful = not self._watchful.isdisjoint(self._touched)
        rows = rows_operations(self._writer, changeset, self.tables, watchful=watchful)
        return rows, len(changeset)

    def drop(self) -> None:
        """End the open one, if there is one; what it saw is taken back."""
        if self._open is not None:
            self._open.close()
            self._open = None
