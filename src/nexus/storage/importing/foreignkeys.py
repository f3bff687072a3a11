"""Find what a node's enforced foreign keys will refuse; SQLite's default is off."""

from typing import Any, Final

import apsw

from nexus.model.names import folded
from nexus.storage.importing.findings import Finding
from nexus.storage.schema.tables import Table

_UNLESS: Final = "unless the connection says PRAGMA foreign_keys = off"


def foreign_keys(
    connection: apsw.Connection, tables: dict[str, Table]
) -> list[Finding]:
    """A finding for each table whose rows, or whose every write, break one."""
    found = []
    for table in tables.values():
        parents: list[Any] = connection.execute(
            'select distinct "table" from pragma_foreign_key_list(?)', (table.name,)
        ).fetchall()
        absent = [name for (name,) in parents if folded(name) not in tables]
        if absent:
            found.append(
                _refused(table, f"refers to table {absent[0]}, which is not there")
            )
        elif parents:
            found += _broken(connection, table)
    return found


def _broken(connection: apsw.Connection, table: Table) -> list[Finding]:
    try:
        rows: list[Any] = connection.execute(
            "select parent, count(*) from pragma_foreign_key_check(?) group by parent",
            (table.name,),
        ).fetchall()
    except apsw.SQLError as error:  # the parent's columns are no key
        return [_refused(table, str(error))]
    return [
        Finding(
            "look",
            table.name,
            f"rows that refer to nothing in {parent}: {count}",
            "they stay; a node enforces foreign keys, and refuses new ones",
        )
        for parent, count in rows
    ]


def _refused(table: Table, what: str) -> Finding:
    why = f"a node enforces foreign keys: it refuses writes to the table {_UNLESS}"
    return Finding("look", table.name, what, why)
