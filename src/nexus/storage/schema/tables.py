"""What the session extension must know of a table: its key and its oddities."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import apsw

from nexus.model.names import folded
from nexus.model.statements import identifiers, quote
from nexus.storage.schema.system import PREFIX

LOCAL_TABLES: Final = ("sqlite_stat1", "sqlite_stat3", "sqlite_stat4")
"""What ANALYZE keeps: each node's own matter."""

ROWID_NAMES: Final = frozenset({"rowid", "oid", "_rowid_"})


@dataclass(frozen=True, slots=True)
class Table:
    """One ordinary table of the main database."""

    name: str
    columns: tuple[str, ...]
    """Those that are stored, as a changeset counts them: no generated ones."""
    key: tuple[str, ...]
    """The declared primary key's columns; empty for a keyless table."""
    rowid_is_key: bool
    """An INTEGER PRIMARY KEY: the rowid travels as the key."""
    without_rowid: bool
    nullable_key: tuple[str, ...]
    """Key columns that SQLite lets be NULL; such rows escape capture.

    None in a shadow table: its module writes no such rows, and a trigger that fires
    while FTS4 flushes within COMMIT makes SQLite leave the transaction open.
    """
    generated: bool
    """There are generated columns beside the stored ones."""
    watchful: bool
    """Two different key values can compare equal here ('A' and 'a' under NOCASE)."""

    @property
    def keyless(self) -> bool:
        """No declared key: rows travel by rowid."""
        return not self.key

    @property
    def rowid_travels(self) -> bool:
        """Whether a row has the same rowid on every node."""
        return self.rowid_is_key or self.keyless or self.without_rowid


def read_tables(connection: apsw.Connection) -> dict[str, Table]:
    """All tables of the main database by folded name, shadow tables included."""
    found = {}
    rows: list[Any] = connection.execute(
        "select l.name, l.type, l.wr, l.strict, coalesce(s.sql, '') "
        "from pragma_table_list l "
        "join sqlite_schema s on s.name = l.name and s.type = 'table' "
        "where l.schema = 'main' and l.type in ('table', 'shadow') "
        "and l.name not like 'sqlite\\_%' escape '\\'"
    ).fetchall()
    for name, kind, without_rowid, strict, sql in rows:
        if not name.lower().startswith(PREFIX):
            table = _read_table(
                connection,
                name,
                shadow=kind == "shadow",
                without_rowid=bool(without_rowid),
                strict=bool(strict),
                sql=sql,
            )
            found[folded(name)] = table
    return found


def _read_table(
    connection: apsw.Connection,
    name: str,
    *,
    shadow: bool,
    without_rowid: bool,
    strict: bool,
    sql: str,
) -> Table:
    columns: list[Any] = connection.execute(
        'select name, type, "notnull", pk from pragma_table_xinfo(?) '
        "where hidden not in (2, 3) order by cid",
        (name,),
    ).fetchall()
    generated: list[Any] = connection.execute(
        "select 1 from pragma_table_xinfo(?) where hidden in (2, 3)", (name,)
    ).fetchall()
    key = [column for column in sorted(columns, key=lambda c: c[3]) if column[3]]
    rowid_is_key = not without_rowid and _is_rowid_alias(connection, name, key)
    nullable = (
        ()
        if rowid_is_key or without_rowid or shadow
        else tuple(column[0] for column in key if not column[2])
    )
    return Table(
        name=name,
        columns=tuple(column[0] for column in columns),
        key=tuple(column[0] for column in key),
        rowid_is_key=rowid_is_key,
        without_rowid=without_rowid,
        nullable_key=nullable,
        generated=bool(generated),
        watchful=not rowid_is_key
        and _can_respell(key, strict=strict, collates="collate" in identifiers(sql)),
    )


def shadow_tables(connection: apsw.Connection) -> frozenset[str]:
    """The names of the tables that belong to virtual ones."""
    rows = connection.execute(
        "select name from pragma_table_list where schema = 'main' and type = 'shadow'"
    )
    return frozenset(str(name) for (name,) in rows)


def _is_rowid_alias(
    connection: apsw.Connection, name: str, key: list[tuple[str, str, int, int]]
) -> bool:
    """Whether the single key column is the rowid itself.

    Only `INTEGER PRIMARY KEY` is, and not with DESC in the column's definition: then
    SQLite makes an index for the key, and an alias has none.
    """
    if len(key) != 1 or key[0][1].upper() != "INTEGER":
        return False
    indexes = connection.execute(
        "select count(*) from pragma_index_list(?) where origin = 'pk'", (name,)
    ).fetchall()
    return bool(indexes[0][0] == 0)


def _can_respell(
    key: list[tuple[str, str, int, int]], *, strict: bool, collates: bool
) -> bool:
    """Whether two spellings of one key value can compare equal.

    TEXT and integer affinities store one spelling of each number; a column without
    affinity keeps 1 and 1.0 apart, and so does REAL for zero and its negative.
    """
    if not key:
        return False
    if collates:
        return True
    return any(
        not _has_one_spelling(declared.upper(), strict=strict)
        for _, declared, _, _ in key
    )


def _has_one_spelling(declared: str, *, strict: bool) -> bool:
    """https://www.sqlite.org/datatype3.html#determination_of_column_affinity."""
    if strict:
        return declared in ("INT", "INTEGER", "TEXT")
    return any(part in declared for part in ("INT", "CHAR", "CLOB", "TEXT"))


def nullable_key_triggers(table: Table) -> dict[str, str]:
    """TEMP triggers by name that refuse a NULL in the table's key, for the writer."""
    if not table.nullable_key:
        return {}
    condition = " or ".join(f"new.{quote(c)} is null" for c in table.nullable_key)
    message = (
        f"table {table.name} has a row whose primary key is NULL, which cannot be "
        "replicated; declare the key NOT NULL"
    ).replace("'", "''")
    columns = ", ".join(quote(c) for c in table.nullable_key)
    return {
        f"nexus_null_{kind}_{table.name}": (
            f"create temp trigger {quote(f'nexus_null_{kind}_{table.name}')} "
            f"before {event} on main.{quote(table.name)} when {condition} "
            f"begin select raise(abort, '{message}'); end"
        )
        for kind, event in (("insert", "insert"), ("update", f"update of {columns}"))
    }


def hash_schema(connection: apsw.Connection) -> bytes:
    """Hash of every object of the user's schema."""
    digest = blake2b(digest_size=16)
    rows = connection.execute(
        "select type, name, tbl_name, coalesce(sql, '') from sqlite_schema "
        "where name not like 'sqlite\\_%' escape '\\' "
        "and tbl_name not like 'nexus\\_%' escape '\\' order by type, name"
    )
    for row in rows:
        digest.update("\0".join(row).encode() + b"\1")
    return digest.digest()
