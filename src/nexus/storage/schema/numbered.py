"""`SERIAL PRIMARY KEY`, which numbers a table's rows in PostgreSQL.

To SQLite the type means nothing: such a key stays NULL in every row, and a row without
a key cannot be replicated. Drizzle makes its table of migrations so.
"""

from typing import Final

from nexus.model.statements import tail, tokens

SERIAL: Final = ("SERIAL", "PRIMARY", "KEY")


def with_numbered_key(sql: str) -> str:
    """The CREATE TABLE with INTEGER in the place of such a key's type."""
    parts = [text for _, text in tokens(sql) if text != ";"]
    upper = tuple(part.upper() for part in parts)
    for at in range(1, len(parts)):
        # After an opening or a comma it would be the column's name.
        if upper[at : at + 3] == SERIAL and upper[at - 1] not in ("(", ","):
            rest = tail(sql, at)
            return f"{sql.removesuffix(rest)}INTEGER{rest[len(SERIAL[0]) :]}"
    return sql
