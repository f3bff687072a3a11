"""Keep AUTOINCREMENT counters at what the log says.

Applying a row to such a table raises its counter whenever the rowid is higher, which
is not always what the master's did: moving a row to another key leaves a counter as it
is there, but is a deletion and an insertion here. So the counters are known before
rows are applied, and put right afterwards.
"""

from collections.abc import Mapping
from typing import Any

import apsw

from nexus.model.operation import Sequence

Wanted = Mapping[str, Any] | None
"""Each table's counter; None where the database has no table of counters."""


class Counters:
    """The counters as they should be, within one SQLite transaction."""

    def __init__(self, writer: apsw.Connection) -> None:
        self._writer = writer
        self._wanted: dict[str, Any] | None = None
        self.read()

    @property
    def wanted(self) -> Wanted:
        """What `put_right` would store; a copy to `go_back` to."""
        return None if self._wanted is None else dict(self._wanted)

    def read(self) -> None:
        """Take the database's counters as right; after each schema statement."""
        exists = self._writer.execute(
            "select 1 from sqlite_schema where name = 'sqlite_sequence'"
        ).fetchall()
        self._wanted = self._found() if exists else None

    def go_back(self, wanted: Wanted) -> None:
        """Want what was wanted before."""
        self._wanted = None if wanted is None else dict(wanted)

    def move(self, sequence: Sequence) -> None:
        """A counter's new value; None removes the counter."""
        if self._wanted is None:
            self._wanted = {}
        if sequence.new is None:
            self._wanted.pop(sequence.table, None)
        else:
            self._wanted[sequence.table] = sequence.new

    def put_right(self) -> None:
        """Make the database's counters those that are wanted."""
        if self._wanted is None:
            return
        found = self._found()
        if found == self._wanted:
            return
        for table in found.keys() | self._wanted.keys():
            if found.get(table) == self._wanted.get(table):
                continue
            self._writer.execute("delete from sqlite_sequence where name = ?", (table,))
            if table in self._wanted:
                self._writer.execute(
                    "insert into sqlite_sequence(name, seq) values (?, ?)",
                    (table, self._wanted[table]),
                )

    def _found(self) -> dict[str, Any]:
        rows = self._writer.execute("select name, seq from sqlite_sequence")
        return {str(name): value for name, value in rows}
