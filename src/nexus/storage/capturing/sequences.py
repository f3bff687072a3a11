"""Notice which AUTOINCREMENT counters a transaction moves: no session sees them.

SQLite keeps them in the table `sqlite_sequence`
(https://www.sqlite.org/autoinc.html); see `counters` for the other end.
"""

import apsw

from nexus.model.operation import Sequence
from nexus.storage.schema.system import PREFIX


class SequenceWatch:
    """The counters of one database, from one transaction to the next."""

    def __init__(self, writer: apsw.Connection) -> None:
        self.exist = False
        """Whether the database has a table of counters."""
        self._writer = writer
        self._before: dict[str, int] | None = None

    def begin(self) -> None:
        """A transaction begins; reads the counters unless they are known."""
        if self.exist and self._before is None:
            self._before = self._read()

    def moves(self, *, schema_changed: bool) -> list[Sequence]:
        """What has moved since `begin`, by name; a next transaction may follow.

        All counters, if schema statements were run: one that was dropped and renamed
        back to its old value has not moved here, but is gone on a replica, where
        nothing raised it in between.
        """
        if not self.exist:
            return []
        before, now = self._before or {}, self._read()
        if before == now and not schema_changed:
            return []
        self._before = now
        return [
            Sequence(table, before.get(table), now.get(table))
            for table in sorted(before.keys() | now.keys())
            if (schema_changed or before.get(table) != now.get(table))
            and not table.lower().startswith(PREFIX)
        ]

    def forget(self) -> None:
        """What moved is taken back."""
        self._before = None

    def _read(self) -> dict[str, int]:
        try:
            rows = self._writer.execute("select name, seq from sqlite_sequence")
        except apsw.SQLError:
            # VACUUM leaves the table out where it is empty, and nobody counts.
            self.exist = False
            return {}
        return {name: seq for name, seq in rows if isinstance(seq, int)}
