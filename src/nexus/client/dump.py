"""A database as the statements that make it anew, as sqlite3's `iterdump`."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from nexus.model.statements import quote

_TABLES: Final = (
    "select s.name, l.type, s.sql from sqlite_schema s "
    "join pragma_table_list l on l.schema = 'main' and l.name = s.name "
    "where s.sql not null and s.type = 'table' order by s.name"
)

_OTHERS: Final = (
    "select name, type, sql from sqlite_schema where sql not null "
    "and type in ('index', 'trigger', 'view')"
)

_OWN: Final = "nexus_"
"""Nexus's own tables are not part of what a client sees."""


def dumped(query: Callable[[str], Iterator[tuple[Any, ...]]]) -> Iterator[str]:
    """The statements, one by one; `query` gives the rows of a query.

    As https://docs.python.org/3/library/sqlite3.html#sqlite3.Connection.iterdump, but a
    virtual table is dumped by its own rows, without the tables that it keeps them in.
    """
    yield "BEGIN TRANSACTION;"
    counters: list[str] = []
    for name, kind, sql in list(query(_TABLES)):
        if name == "sqlite_sequence":
            counters = ['DELETE FROM "sqlite_sequence";', *_rows(name, query)]
        elif name == "sqlite_stat1":
            yield 'ANALYZE "sqlite_master";'
        elif kind != "shadow" and not name.startswith(("sqlite_", _OWN)):
            yield f"{sql};"
            yield from _rows(name, query)
    for name, _, sql in list(query(_OTHERS)):
        if not name.startswith(_OWN):
            yield f"{sql};"
    yield from counters
    yield "COMMIT;"


def _rows(
    table: str, query: Callable[[str], Iterator[tuple[Any, ...]]]
) -> Iterator[str]:
    """An INSERT for each row, its values written by SQLite."""
    columns = [row[1] for row in query(f"pragma table_info({quote(table)})")]
    values = " || ',' || ".join(map(_written, columns))
    beginning = f"INSERT INTO {quote(table)} VALUES("
    for (row,) in query(f"select {values} from {quote(table)}"):  # noqa: S608
        yield f"{beginning}{row});"


def _written(column: str) -> str:
    """An expression for the column's value as SQL; `quote` ends a text at a NUL."""
    name = quote(column)
    return (
        f"case when instr({name}, char(0)) and typeof({name}) = 'text' "
        f"then 'CAST(x''' || hex({name}) || ''' AS TEXT)' else quote({name}) end"
    )
