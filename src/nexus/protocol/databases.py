"""How a peer says which of a node's databases it means: by a feature in its greeting.

Without one it means the main database, as every node before named ones does.
"""

from typing import Final

PREFIX: Final = "database:"


def features_for(database: str) -> tuple[str, ...]:
    """What Hello and Attach carry for this database; nothing for the main one."""
    return (PREFIX + database,) if database else ()


def database_of(features: tuple[str, ...]) -> str:
    """The database that is named among these features; empty: the main one."""
    named = (one for one in features if one.startswith(PREFIX))
    return next(named, PREFIX).removeprefix(PREFIX)
