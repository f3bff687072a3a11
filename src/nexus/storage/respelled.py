"""Keys that change to a value which compares equal: carried as delete and insert.

Where 'A' becomes 'a' under NOCASE, or 1 becomes 1.0 in a column without affinity, the
session reports an UPDATE of the key beside an INSERT, and no SQLite can apply that
changeset. The old row's deletion in one operation, followed by everything else in a
second one, says the same and can be applied.
"""

from typing import Any

import apsw

from nexus.model.operation import Rows
from nexus.storage.statements import quote
from nexus.storage.tables import Table


def rows_operations(
    connection: apsw.Connection, changeset: bytes, tables: dict[str, Table] | None
) -> list[Rows]:
    """A changeset as operations; `tables` only if it touches a watchful one."""
    if tables is None:
        return [Rows(changeset)]
    if not any(_is_respelled(change) for change in apsw.Changeset.iter(changeset)):
        return [Rows(changeset, alone=True)]
    new_builder: Any = apsw.ChangesetBuilder  # its constructor is not typed
    deletes, rest = new_builder(), new_builder()
    for builder in (deletes, rest):
        builder.schema(connection, "main")
    for change in apsw.Changeset.iter(changeset):
        if _is_respelled(change):
            table = tables[change.name.lower()]
            row = _row_before(connection, table, change)
            deletes.add_delete(change.name, change.indirect, row)
        else:
            rest.add_change(change)
    return [Rows(deletes.output(), alone=True), Rows(rest.output(), alone=True)]


def _is_respelled(change: apsw.TableChange) -> bool:
    if change.opcode != apsw.SQLITE_UPDATE or change.new is None:
        return False
    return any(change.new[column] is not apsw.no_change for column in change.pk_columns)


def _row_before(
    connection: apsw.Connection, table: Table, change: apsw.TableChange
) -> tuple[Any, ...]:
    """The whole old row: as it stands now, with the changed columns' old values."""
    assert change.old is not None, "an UPDATE carries its old key"
    key = sorted(change.pk_columns)
    condition = " and ".join(f"{quote(table.columns[column])} = ?" for column in key)
    names = ", ".join(quote(column) for column in table.columns)
    now = connection.execute(
        f"select {names} from main.{quote(table.name)} where {condition}",  # noqa: S608
        tuple(change.old[column] for column in key),
    ).fetchall()[0]
    return tuple(
        now[column] if old is apsw.no_change else old
        for column, old in enumerate(change.old)
    )
