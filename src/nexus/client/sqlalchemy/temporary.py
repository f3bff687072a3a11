"""Temporary tables and views, which last as long as the transaction that makes them.

SQLite keeps those in the connection, and all clients share a node's writer. A table
that nobody else can see before COMMIT, and that is dropped there, is as temporary.
"""

import re
from typing import Any, Final
from weakref import WeakKeyDictionary

_CREATES: Final = re.compile(
    r"\s*CREATE\s+TEMP(?:ORARY)?\s+(?P<kind>TABLE|VIEW)\s+(?P<rest>"
    r'(?P<guard>IF\s+NOT\s+EXISTS\s+)?(?P<name>"(?:[^"]|"")+"|\w+).*)',
    re.IGNORECASE | re.DOTALL,
)

_DROPS: Final = re.compile(
    r'\s*DROP\s+(?:TABLE|VIEW)\s+(?:IF\s+EXISTS\s+)?(?P<name>"(?:[^"]|"")+"|\w+)',
    re.IGNORECASE,
)


class TemporaryObjects:
    """What the open transaction of each connection has made for itself."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()

    def as_run(self, connection: Any, sql: str) -> str:
        """What to run in the connection's transaction for a schema statement."""
        drop = _DROPS.match(sql)
        if drop is not None:
            self._made.get(connection, {}).pop(drop["name"], None)
        made = _CREATES.match(sql)
        if made is None:
            return sql
        self._made.setdefault(connection, {})[made["name"]] = made["kind"]
        return f"CREATE {made['kind']} {made['rest']}"

    def drop(self, connection: Any) -> None:
        """Drop them; before the transaction commits."""
        made = self._made.pop(connection, {})
        for name, kind in reversed(made.items()):
            connection.execute(f"DROP {kind} IF EXISTS {name}")

    def forget(self, connection: Any) -> None:
        """They are gone with the transaction that was taken back."""
        self._made.pop(connection, None)
