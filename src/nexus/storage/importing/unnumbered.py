"""Find columns of PostgreSQL's numbering types: to SQLite they number nothing."""

from typing import Any, Final

import apsw

from nexus.storage.importing.findings import Finding
from nexus.storage.schema.tables import Table

TYPES: Final = ("SERIAL", "BIGSERIAL", "SMALLSERIAL")


def unnumbered_keys(connection: apsw.Connection, table: Table) -> list[Finding]:
    """A finding for each column that its table's author may think is numbered.

    A CREATE TABLE that a node runs has INTEGER in place of `SERIAL PRIMARY KEY`; a
    table that is there already stays as it was declared.
    """
    rows: list[Any] = connection.execute(
        "select name, upper(type), pk from pragma_table_info(?)", (table.name,)
    ).fetchall()
    return [
        Finding(
            "look",
            table.name,
            f"{name} is of type {kind}, which numbers nothing in SQLite",
            _why(is_key=bool(place)),
        )
        for name, kind, place in rows
        if kind in TYPES
    ]


def _why(*, is_key: bool) -> str:
    if is_key:
        return (
            "an INSERT that leaves the key out is refused; if rows shall be numbered, "
            "make the table again with INTEGER PRIMARY KEY before the import"
        )
    return "an INSERT that leaves it out makes it NULL, as it did before"
