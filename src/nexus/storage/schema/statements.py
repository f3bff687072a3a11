"""Schema statements: what they name, and which of them cannot be replicated."""

from typing import Any, Final

import apsw
import msgspec

from nexus.errors import RefusedStatementError
from nexus.model.names import folded
from nexus.model.statements import names, quote, tail, tokens, unquote
from nexus.storage.schema.numbered import with_numbered_key
from nexus.storage.schema.system import PREFIX
from nexus.storage.schema.tables import ROWID_NAMES, Table, nullable_key_triggers

_FULL_TEXT: Final = frozenset({"fts3", "fts4", "fts5"})

_ROWS: Final = ("new", "old")
"""What a trigger calls the rows of its own table."""

_KINDS: Final = frozenset({"TABLE", "INDEX", "VIEW", "TRIGGER"})


class SchemaStatement(msgspec.Struct, frozen=True):
    """A CREATE, DROP or ALTER, as far as Nexus must understand it."""

    sql: str
    verb: str
    kind: str
    name: str
    query: str
    """What follows CREATE TABLE … AS; else empty."""
    makes_virtual: bool
    """CREATE VIRTUAL TABLE: a module of SQLite's keeps its rows."""

    @property
    def drops_table(self) -> bool:
        """DROP TABLE: foreign keys may delete rows elsewhere."""
        return self.verb == "DROP" and self.kind == "TABLE"


def read_schema_statement(sql: str) -> SchemaStatement:
    """What a schema statement does to which object.

    Raises RefusedStatementError for temporary objects, other schemas, reserved names.
    """
    parts = [text for _, text in tokens(sql) if text != ";"]
    verb = parts[0].upper()
    upper = [part.upper() for part in parts]
    if upper[1:2] and upper[1] in ("TEMP", "TEMPORARY"):
        raise RefusedStatementError(
            "temporary objects live in one connection, and all clients share this "
            "node's writer; use an ordinary table, or WITH"
        )
    at = next((i for i, part in enumerate(upper) if part in _KINDS), 1)
    kind = upper[at] if at < len(upper) else ""
    at += 1
    if upper[at : at + 1] == ["IF"]:
        at += 3 if upper[at + 1 : at + 2] == ["NOT"] else 2
    name = unquote(parts[at]) if at < len(parts) else ""
    if parts[at + 1 : at + 2] == ["."]:
        if name.lower() != "main":
            raise RefusedStatementError(
                f"schema {name} is not replicated; leave the schema's name out"
            )
        at += 2
        name = unquote(parts[at]) if at < len(parts) else ""
    if name.lower().startswith(PREFIX):
        raise RefusedStatementError(
            f"names that begin with {PREFIX} are reserved; choose another"
        )
    makes_rows = (verb, kind, *upper[at + 1 : at + 2]) == ("CREATE", "TABLE", "AS")
    query = tail(sql, at + 2) if makes_rows else ""
    makes_virtual = (verb, *upper[1:2]) == ("CREATE", "VIRTUAL")
    if (verb, kind) == ("CREATE", "TABLE") and not query:
        sql = with_numbered_key(sql)
    return SchemaStatement(sql, verb, kind, name, query, makes_virtual)


def refuse_unreplicable(statement: SchemaStatement, tables: dict[str, Table]) -> None:
    """Raise RefusedStatementError where the new schema could not be replicated.

    A keyless table needs its rowid, so no column may hide it; and the rowids of a table
    with another key differ from node to node, so nothing stored may read them.
    """
    if statement.verb == "DROP":
        return
    table = tables.get(folded(statement.name))
    if table is not None and table.keyless and _has_column(table, "_rowid_"):
        raise RefusedStatementError(
            f"table {table.name} has no primary key and a column named _rowid_, so its "
            "rows cannot be told apart; declare a primary key or rename the column"
        )
    named = names(statement.sql)
    external = _external_content(statement.sql)
    watched, of_watched = _read_of_watched(statement)
    for other in tables.values():
        if other.rowid_travels or folded(other.name) not in named | {external}:
            continue
        reads = {name for name in named & ROWID_NAMES if not _has_column(other, name)}
        if watched in tables and folded(other.name) != watched:
            reads -= of_watched
        if reads or folded(other.name) == external:
            raise RefusedStatementError(
                f"{statement.kind.lower()} {statement.name} uses the rowid of table "
                f"{other.name}, which differs from node to node because its primary "
                f"key is {', '.join(other.key)}; give it an INTEGER PRIMARY KEY, and "
                "a UNIQUE constraint for the old key"
            )


def refuse_unreplicable_schema(
    connection: apsw.Connection, statement: SchemaStatement, tables: dict[str, Table]
) -> None:
    """The same for a statement that was run, and for what uses the table it changed.

    A view may be older than the table that it names.
    """
    refuse_unreplicable(statement, tables)
    if statement.verb == "DROP" or statement.kind != "TABLE":
        return
    users: list[Any] = connection.execute(
        "select sql from main.sqlite_schema "
        "where name not like 'nexus\\_%' escape '\\' "
        "and (sql like '%rowid%' or sql like '%oid%' or sql like '%content%')"
    ).fetchall()
    for (sql,) in users:
        refuse_unreplicable(read_schema_statement(sql), tables)


def sync_triggers(connection: apsw.Connection, tables: dict[str, Table]) -> None:
    """Make the writer's TEMP triggers those that the tables need."""
    triggers: list[Any] = connection.execute(
        "select name, tbl_name from sqlite_temp_schema where type = 'trigger'"
    ).fetchall()
    existing: dict[str, str] = dict(triggers)
    for table in tables.values():
        for name, sql in nullable_key_triggers(table).items():
            if existing.pop(name, None) == table.name:
                continue
            connection.execute(f"drop trigger if exists temp.{quote(name)}")
            connection.execute(sql)
    for name in existing:  # its table was renamed: the message names the old one
        connection.execute(f"drop trigger if exists temp.{quote(name)}")


def _has_column(table: Table, name: str) -> bool:
    return name in map(folded, table.columns)


def _read_of_watched(statement: SchemaStatement) -> tuple[str, set[str]]:
    """A trigger's table, and the names that it reads as `new.name` or `old.name` alone.

    Where either word is something else as well, such as a table's alias: no names.
    """
    if statement.kind != "TRIGGER":
        return "", set()
    parts = [folded(unquote(text)) for _, text in tokens(statement.sql)]
    watched = parts[parts.index("on") + 1]  # SQLite has taken it: there is one
    of_rows: set[str] = set()
    of_others: set[str] = set()
    for at, part in enumerate(parts):
        if part in _ROWS and parts[at + 1 : at + 2] != ["."]:
            return watched, set()
        is_of_row = parts[at - 1] == "." and parts[at - 2] in _ROWS
        (of_rows if is_of_row else of_others).add(part)
    return watched, of_rows - of_others


def _external_content(sql: str) -> str:
    """The table whose rows a full-text index finds by rowid; else empty."""
    parts = [folded(unquote(text)) for _, text in tokens(sql)]
    if not _FULL_TEXT.intersection(parts):
        return ""
    options = {
        part: parts[at + 2]
        for at, part in enumerate(parts[:-2])
        if parts[at + 1] == "=" and part in ("content", "content_rowid")
    }
    if options.get("content_rowid", "rowid") not in ROWID_NAMES:
        return ""
    return options.get("content", "")
