"""What may stand at the cursor: tables, columns, functions, keywords."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import apsw
import msgspec

from nexus.cli.sources import Source
from nexus.errors import NexusError

_WORD: Final = re.compile(r"[^\W\d]\w*\Z|\Z")
_QUALIFIED: Final = re.compile(r"([^\W\d]\w*)\.(\w*)\Z")
_TABLE_FOLLOWS: Final = re.compile(
    r"\b(from|join|into|update|table|references|exists)\s+\w*\Z", re.IGNORECASE
)
_MENTIONED: Final = re.compile(
    r"\b(?:from|join|into|update)\s+(\w+)(?:\s+(?:as\s+)?(\w+))?", re.IGNORECASE
)
_KEYWORDS: Final = tuple(sorted(apsw.keywords))
_SCHEMA: Final = """\
select m.name, c.name from sqlite_schema m, pragma_table_info(m.name) c
where m.type in ('table', 'view') and m.name not like 'nexus#_%' escape '#'"""
_FUNCTIONS: Final = """\
select distinct name from pragma_function_list where name glob '[a-z]*'"""


class Schema(msgspec.Struct, frozen=True):
    """The names that a database has."""

    columns: Mapping[str, tuple[str, ...]] = {}
    """Of each table and view."""
    functions: tuple[str, ...] = ()


def read_schema(source: Source) -> Schema:
    """What `source` knows; what it does not tell is empty."""
    columns: dict[str, tuple[str, ...]] = {}
    for table, column in _rows(source, _SCHEMA):
        columns[table] = (*columns.get(table, ()), column)
    return Schema(columns, tuple(name for (name,) in _rows(source, _FUNCTIONS)))


def candidates(before: str, schema: Schema) -> tuple[str, list[str]]:
    """The word at the end of `before`, and what it may become, likeliest first."""
    qualified = _QUALIFIED.search(before)
    if qualified is not None:
        table = _meant(before, qualified[1], schema)
        return qualified[2], _fitting(qualified[2], schema.columns.get(table, ()))
    found = _WORD.search(before)
    word = found[0] if found else ""
    if _TABLE_FOLLOWS.search(before):
        return word, _fitting(word, schema.columns)
    if not word:
        return "", []
    columns = [
        column
        for table, _ in _MENTIONED.findall(before)
        for column in schema.columns.get(table, ())
    ]
    keywords = _KEYWORDS if word.isupper() else [name.lower() for name in _KEYWORDS]
    known = [*columns, *schema.columns, *keywords, *schema.functions]
    return word, _fitting(word, known)


def _meant(text: str, name: str, schema: Schema) -> str:
    """The table that `name` is, or stands for."""
    if name in schema.columns:
        return name
    aliases: dict[str, str] = {
        alias: table for table, alias in _MENTIONED.findall(text) if alias
    }
    return aliases.get(name, name)


def _fitting(word: str, names: Iterable[str]) -> list[str]:
    begins = word.lower()
    return list(dict.fromkeys(n for n in names if n.lower().startswith(begins)))


def _rows(source: Source, query: str) -> list[tuple[str, ...]]:
    try:
        return source.run(query).results[0].rows
    except NexusError:
        return []
