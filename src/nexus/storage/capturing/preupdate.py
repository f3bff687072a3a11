"""The row changes of a small transaction, from SQLite's pre-update hook.

A session costs about 15 µs before its first row: it compiles statements for each table
and reads each changed row again. The hook costs 3 µs a row and nothing else, so small
transactions on ordinary tables are watched by it, and their changes are written in the
session extension's own format (https://www.sqlite.org/c3ref/preupdate_blobwrite.html).

What is large, or odd in any way, is not watched to its end: `end` raises, and the
transaction is taken back and done again under a session.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import apsw

from nexus.storage.changesets.changes import encode_header, encode_value
from nexus.storage.schema.tables import Table

MOST_ROWS: Final = 128
"""Beyond so many changes a session is the cheaper one."""

MOST_BYTES: Final = 64 << 10
"""Of text and blobs; a session's growth is watched against the limit, this is not."""

_UNCHANGED: Final = b"\0"


class NotSmallError(Exception):
    """A transaction that was thought to be small is not; no client ever sees it."""


@dataclass(slots=True)
class _Change:
    """What became of one row, from before the transaction until now."""

    old: tuple[Any, ...] | None
    new: tuple[Any, ...] | None
    indirect: bool
    """Only triggers and foreign keys changed it."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """A table whose changes the hook can carry."""

    header: bytes
    key: int
    """The column that is the rowid."""


class SmallChanges:
    """Watches one transaction at a time on the writer's connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._tables: dict[str, _Watched] = {}
        self._changes: dict[bytes, dict[Any, _Change]] = {}
        self._key_of: dict[bytes, int] = {}
        self._rows_left = 0
        self._bytes_left = 0
        self._missed = False

    def know(self, tables: Iterable[Table]) -> None:
        """The tables of the schema as it is now."""
        self._tables = {
            table.name: _Watched(
                encode_header(table.name, table.columns, table.key),
                table.columns.index(table.key[0]),
            )
            for table in tables
            if table.rowid_is_key and not table.generated
        }
        self._key_of = {w.header: w.key for w in self._tables.values()}

    def begin(self) -> None:
        """Watch from here on; no session may be open on the connection."""
        self._changes = {}
        self._rows_left, self._bytes_left = MOST_ROWS, MOST_BYTES
        self._missed = False
        self._connection.preupdate_hook(self._see)

    def drop(self) -> None:
        """Watch no more; what was seen is forgotten."""
        self._connection.preupdate_hook(None)
        self._changes = {}

    def end(self) -> bytes:
        """The changeset of what was seen; NotSmallError if not all of it could be."""
        self._connection.preupdate_hook(None)
        changes, self._changes = self._changes, {}
        if self._missed:
            raise NotSmallError
        written: list[bytes] = []
        for header, rows in changes.items():
            key = self._key_of[header]
            of_table = b"".join([_encoded(row, key) for row in rows.values()])
            if of_table:
                written += (header, of_table)
        return b"".join(written)

    def _see(self, update: apsw.PreUpdate) -> None:
        """Called by SQLite before each row's change."""
        if self._missed:
            return
        table = self._tables.get(update.table_name)
        self._rows_left -= 1
        if table is None or self._rows_left < 0:
            self._missed = True
            return
        try:
            old, new = update.old, update.new
        except UnicodeDecodeError:  # a session carries any bytes as text
            self._missed = True
            return
        rows = self._changes.setdefault(table.header, {})
        key, indirect = table.key, update.depth > 0
        if old is not None and (new is None or old[key] != new[key]):
            self._note(rows, old[key], _Change(old, None, indirect))
            old = None
        if new is not None:
            self._note(rows, new[key], _Change(old, new, indirect))

    def _note(self, rows: dict[Any, _Change], key: Any, change: _Change) -> None:
        for value in change.new or change.old or ():
            kind = type(value)
            if kind is str or kind is bytes:
                self._bytes_left -= len(value)
        if self._bytes_left < 0:
            self._missed = True
        known = rows.setdefault(key, change)
        if known is not change:
            known.new = change.new
            known.indirect = known.indirect and change.indirect


def _encoded(change: _Change, key: int) -> bytes:
    """One row's change as it stands in a changeset; nothing if nothing changed."""
    old, new = change.old, change.new
    if new is None:
        if old is None:
            return b""
        opcode, parts = apsw.SQLITE_DELETE, list(map(encode_value, old))
    elif old is None:
        opcode, parts = apsw.SQLITE_INSERT, list(map(encode_value, new))
    else:
        before, after = list(map(encode_value, old)), list(map(encode_value, new))
        if before == after:
            return b""
        changed = [was != now for was, now in zip(before, after, strict=True)]
        shown = [moved or at == key for at, moved in enumerate(changed)]
        opcode = apsw.SQLITE_UPDATE
        parts = [
            was if is_shown else _UNCHANGED
            for was, is_shown in zip(before, shown, strict=True)
        ]
        parts += [
            now if moved else _UNCHANGED
            for now, moved in zip(after, changed, strict=True)
        ]
    return bytes((opcode, change.indirect)) + b"".join(parts)
