"""Temporary tables and views, which last as long as the transaction that makes them.

SQLite keeps those in the connection, and all clients share a node's writer. A table
that nobody else can see before COMMIT, and that is dropped there, is as temporary.
"""

import re
from typing import Any, Final
from weakref import WeakKeyDictionary

from nexus.model.names import folded
from nexus.model.statements import quote, unquote

_NAME: Final = r'(?P<name>"(?:[^"]|"")+"|\w+)'

_CREATES: Final = re.compile(
    r"\s*CREATE\s+(?P<temporary>TEMP(?:ORARY)?\s+)?(?P<kind>TABLE|VIEW)\s+"
    rf"(?P<guard>IF\s+NOT\s+EXISTS\s+)?(?P<rest>{_NAME}.*)",
    re.IGNORECASE | re.DOTALL,
)

_DROPS: Final = re.compile(
    rf"\s*DROP\s+(?:TABLE|VIEW)\s+(?:IF\s+EXISTS\s+)?{_NAME}", re.IGNORECASE
)


class TemporaryObjects:
    """What the open transaction of each connection has made for itself."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()
        """Kinds by folded name."""

    def as_run(self, connection: Any, sql: str) -> str:
        """What to run in the connection's transaction for a schema statement.

        Nothing temporary can hide a table that stays: there SQLite is to say that the
        name is taken, whatever the statement says of that.
        """
        made = _CREATES.match(sql)
        if made is None or not made["temporary"]:
            return sql
        guard = made["guard"] if _named(made) in self._made.get(connection, {}) else ""
        return f"CREATE {made['kind']} {guard or ''}{made['rest']}"

    def ran(self, connection: Any, sql: str) -> None:
        """Such a statement has done what it says."""
        found = _CREATES.match(sql) or _DROPS.match(sql)
        if found is None:
            return
        if found.groupdict().get("temporary"):
            kinds = self._made.setdefault(connection, {})
            kinds[_named(found)] = found["kind"]
        else:
            self._made.get(connection, {}).pop(_named(found), None)

    def drop(self, connection: Any) -> None:
        """Drop them; before the transaction commits."""
        made = self._made.pop(connection, {})
        for name, kind in reversed(made.items()):
            connection.execute(f"DROP {kind} IF EXISTS {quote(name)}")

    def forget(self, connection: Any) -> None:
        """They are gone with the transaction that was taken back."""
        self._made.pop(connection, None)


def _named(found: re.Match[str]) -> str:
    return folded(unquote(found["name"]))
