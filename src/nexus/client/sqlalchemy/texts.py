"""A schema's objects in SQL that was written by hand, by their whole names."""

import re
from functools import lru_cache
from typing import Final

from nexus.client.sqlalchemy.naming import MAIN

_FILES: Final = (MAIN, "temp")
"""What SQLite itself knows for a schema."""

_IDENTIFIER: Final = r'"(?:[^"]|"")+"|\w+'

_NAME: Final = re.compile(
    rf"""
      '(?:[^']|'')*' | --[^\n]* | /\*.*?\*/
    | (?P<schema>{_IDENTIFIER})\.(?P<name>{_IDENTIFIER})(?=\.)
    | (?P<alter>\bALTER\s+TABLE\s+)
      (?P<old_schema>{_IDENTIFIER})\.(?P<old_name>{_IDENTIFIER})
      (?P<rename>\s+RENAME\s+TO\s+)(?P<new_name>{_IDENTIFIER})(?!\.)
    | (?P<before>\b(?:FROM|JOIN|INTO|UPDATE|TABLE|VIEW|EXISTS|REFERENCES|DROP\s+INDEX)
        \s+)
      (?P<its_schema>{_IDENTIFIER})\.(?P<its_name>{_IDENTIFIER})(?!\.)
    | {_IDENTIFIER}
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


@lru_cache(maxsize=1024)
def whole_names(sql: str) -> str:
    """`from sales.users` as `from "sales.users"`, `a.b.c` as `"a.b".c`.

    Where SQL has room for a schema: before a column's table, and behind the words that
    a table's name follows. Text and comments stay as they are.
    """
    return _NAME.sub(_whole, sql) if "." in sql else sql


def _whole(match: re.Match[str]) -> str:
    if match["alter"]:
        if _plain(match["old_schema"]).lower() in _FILES:
            return match[0]
        old, new = (
            _joined(match["old_schema"], match[name])
            for name in ("old_name", "new_name")
        )
        return f"{match['alter']}{old}{match['rename']}{new}"
    schema = match["schema"] or match["its_schema"]
    if schema is None:
        return match[0]
    name = _joined(schema, match["name"] or match["its_name"])
    return f"{match['before'] or ''}{name}"


def _joined(schema: str, name: str) -> str:
    """The name that the database knows the object by, quoted."""
    if _plain(schema).lower() in _FILES:
        return f"{schema}.{name}"
    whole = f"{_plain(schema)}.{_plain(name)}".replace('"', '""')
    return f'"{whole}"'


def _plain(identifier: str) -> str:
    """An identifier without its quotes."""
    if identifier.startswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier
