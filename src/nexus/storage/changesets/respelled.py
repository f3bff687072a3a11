"""Keys that change to a value which compares equal: carried as delete and insert.

Where 'A' becomes 'a' under NOCASE, or 1 becomes 1.0 in a column without affinity, the
session reports an UPDATE of the key beside an INSERT, and no SQLite can apply that
changeset. The old row's deletion in one operation, followed by everything else in a
second one, says the same and can be applied.
"""

from typing import Any, Final

import apsw

from nexus.model.names import folded
from nexus.model.operation import Rows
from nexus.model.statements import quote
from nexus.storage.changesets.changes import (
    Change,
    deletion,
    fetch_exactly,
    matching,
    read_changes,
    write_changes,
)
from nexus.storage.schema.tables import Table

LEAST_INTEGER: Final = b"\x01\x80" + bytes(7)
"""-(1 << 63) in a changeset. Integer columns keep it apart from the same as a REAL,
and only it (https://www.sqlite.org/datatype3.html#type_affinity)."""


def rows_operations(
    connection: apsw.Connection,
    changeset: bytes,
    tables: dict[str, Table],
    *,
    watchful: bool,
) -> list[Rows]:
    """A changeset as operations; `watchful` if it touches such a table."""
    if not watchful and LEAST_INTEGER not in changeset:
        return [Rows(changeset)]
    if not _has_respelled(changeset):
        return [Rows(changeset, alone=watchful)]
    deletes, rest = [], []
    for change in read_changes(changeset):
        if _is_respelled(change):
            table = tables[folded(change.table)]
            deletes.append(deletion(change, _row_before(connection, table, change)))
        else:
            rest.append(change)
    found = (write_changes(deletes), write_changes(rest))
    return [Rows(operation, alone=True) for operation in found if operation]


def _has_respelled(changeset: bytes) -> bool:
    """Whether there may be one; apsw reads faster than `read_changes`."""
    try:
        return any(map(_is_respelled, apsw.Changeset.iter(changeset)))
    except UnicodeDecodeError:
        return True


def _is_respelled(change: Change | apsw.TableChange) -> bool:
    if change.opcode != apsw.SQLITE_UPDATE or change.new is None:
        return False
    keys = change.key_columns if isinstance(change, Change) else change.pk_columns
    return any(change.new[column] is not apsw.no_change for column in keys)


def _row_before(
    connection: apsw.Connection, table: Table, change: Change
) -> tuple[Any, ...]:
    """The whole old row: as it stands now, with the changed columns' old values."""
    assert change.old is not None, "an UPDATE carries its old key"
    names = [table.columns[column] for column in change.key_columns]
    where = f"from main.{quote(table.name)} where {matching(names, change.key)}"
    columns = [quote(column) for column in table.columns]
    now = fetch_exactly(connection, columns, where, change.key)[0]
    return tuple(
        now[column] if old is apsw.no_change else old
        for column, old in enumerate(change.old)
    )
