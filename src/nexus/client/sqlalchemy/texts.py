"""A schema's objects in SQL that was written by hand, by their whole names."""

import re
from functools import lru_cache
from typing import Final

from nexus.client.sqlalchemy.naming import MAIN

_IDENTIFIER: Final = r'"(?:[^"]|"")+"|\w+'

_NAME: Final = re.compile(
    rf"""
      '(?:[^']|'')*' | --[^\n]* | /\*.*?\*/
    | (?P<schema>{_IDENTIFIER})\.(?P<name>{_IDENTIFIER})(?=\.)
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
    schema = match["schema"] or match["its_schema"]
    if schema is None or _plain(schema).lower() in (MAIN, "temp"):
        return match[0]
    name = match["name"] or match["its_name"]
    joined = f"{_plain(schema)}.{_plain(name)}".replace('"', '""')
    return f'{match["before"] or ""}"{joined}"'


def _plain(identifier: str) -> str:
    """An identifier without its quotes."""
    if identifier.startswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier
