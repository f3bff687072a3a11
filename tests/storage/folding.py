"""A consumer of changes that keeps a database of its own: what the feed is for."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw
from typing_extensions import override

from nexus.model.change import Change
from nexus.model.operation import Sequence
from nexus.model.statements import quote
from nexus.storage.applying.counters import Counters
from nexus.storage.changesets.changes import fetch_exactly, place, to_bind
from nexus.storage.fingerprint import Fingerprints, fingerprint
from storage.closing import Closing

Row = dict[str, Any]
Named = tuple[tuple[str, Any], ...]


class Fold(Closing):
    """Applies changes by their names alone, one transaction after another.

    The rows of one transaction come in no order that unique values would bear, so those
    between two other changes are first taken out, all of them, and then put in.
    """

    def __init__(self, path: Path) -> None:
        self.connection = apsw.Connection(str(path))
        for setting in (
            apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER,
            apsw.SQLITE_DBCONFIG_ENABLE_FKEY,
            apsw.SQLITE_DBCONFIG_DEFENSIVE,
        ):
            self.connection.config(setting, 0)
        self._counters = Counters(self.connection)
        self._rows: dict[tuple[str, Named], Row | None] = {}
        self.transactions = 0

    def take(self, changes: Iterable[Change]) -> None:
        """Fold these in; they may end within a transaction."""
        for change in changes:
            if not self.connection.in_transaction:
                self.connection.execute("begin")
            self._take(change)
            if change.last:
                self._put_rows()
                self._counters.put_right()
                self.connection.execute("commit")
                self.transactions += 1

    def content(self) -> Fingerprints:
        """The hashes of all tables."""
        return fingerprint(self.connection)

    def _take(self, change: Change) -> None:
        if change.op in ("insert", "update", "delete"):
            self._take_row(change)
            return
        self._put_rows()
        if change.op == "schema":
            self._counters.put_right()
            self.connection.execute(change.sql).fetchall()
            self._counters.read()
        elif change.op == "sequence":
            assert not isinstance(change.old, dict)
            assert not isinstance(change.new, dict)
            self._counters.move(Sequence(change.table, change.old, change.new))
        else:
            self.connection.execute(f"pragma {change.name} = {change.new}")

    def _take_row(self, change: Change) -> None:
        assert change.key is not None
        at = (change.table, tuple(change.key.items()))
        if change.op == "delete":
            self._rows[at] = None
            return
        assert isinstance(change.new, dict)
        before = {} if change.op == "insert" else self._row(*at)
        self._rows[at] = {**before, **change.new}

    def _row(self, table: str, key: Named) -> Row:
        if (table, key) in self._rows:
            row = self._rows[table, key]
        else:
            info = self.connection.execute(
                "select name from pragma_table_xinfo(?) where hidden not in (2, 3)",
                (table,),
            )
            names = [str(name) for (name,) in info]
            if key[0][0] == "_rowid_":
                names = ["_rowid_", *names]
            found = fetch_exactly(
                self.connection,
                [quote(name) for name in names],
                f"from {quote(table)} where {_matches(key)}",
                tuple(value for _, value in key),
            )
            row = dict(zip(names, found[0], strict=True))
        assert row is not None, f"{table} {key} was updated, and is not there"
        return row

    def _put_rows(self) -> None:
        rows, self._rows = self._rows, {}
        for table, key in rows:
            values = tuple(to_bind(value) for _, value in key)
            self.connection.execute(
                f"delete from {quote(table)} where {_matches(key)}", values
            )
        for (table, _), row in rows.items():
            if row is not None:
                names = ", ".join(map(quote, row))
                places = ", ".join(map(place, row.values()))
                self.connection.execute(
                    f"insert into {quote(table)}({names}) values ({places})",
                    tuple(map(to_bind, row.values())),
                )

    @override
    def close(self) -> None:
        self.connection.close()


def _matches(key: Named) -> str:
    return " and ".join(f"{quote(name)} = {place(value)}" for name, value in key)
