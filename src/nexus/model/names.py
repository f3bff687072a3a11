"""Names of tables, columns and savepoints, as SQLite compares them."""

from typing import Final

_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def folded(name: str) -> str:
    """The name in lower case, but of ASCII's letters alone.

    To SQLite "Ä" and "ä" are two tables, and a database may have both.
    """
    return name.lower() if name.isascii() else name.translate(_LOWER)
