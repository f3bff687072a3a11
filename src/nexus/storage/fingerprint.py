"""Hash every table, so that two databases can be proven to hold the same.

Values are hashed with their types, rows in the order of their key, and with their
rowids where those are the same on every node. Two nodes at one offset agree on all of
it; what their files look like does not matter.
"""

from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

import apsw
import msgspec

from nexus.model.statements import quote
from nexus.storage.schema.tables import LOCAL_TABLES, Table, hash_schema, read_tables
from nexus.storage.sqlite.connections import storage_error

_CHUNK_ROWS: Final = 64
"""Rows encoded at once: keeps the loop out of Python, and bounds the memory."""

_VIRTUAL: Final = 2
"""`hidden` of a generated column that is computed at each read, and never stored."""


_NEGATIVE_ZERO: Final = msgspec.msgpack.encode(-0.0)


class TableFingerprint(msgspec.Struct, frozen=True):
    """How many rows a table has, and the hash of all of them."""

    rows: int
    hash: str


class Fingerprints(msgspec.Struct, frozen=True):
    """A database's content: equal where, and only where, the rows are."""

    schema: str
    """Every object's SQL, with `user_version` and `application_id`."""
    tables: dict[str, TableFingerprint]
    """By name, sorted; shadow tables and `sqlite_sequence` included."""


def fingerprint(connection: apsw.Connection) -> Fingerprints:
    """Hash the user's part of a database: Nexus's tables and statistics aside.

    The caller holds a read transaction, so that all tables are of one moment. Raises
    StorageError for a database that cannot be read to its end.
    """
    try:
        found = {
            table.name: _hash_table(connection, table)
            for table in read_tables(connection).values()
            if table.name.lower() not in LOCAL_TABLES
        }
        if _has_counters(connection):
            found["sqlite_sequence"] = _hash_rows(
                connection, "sqlite_sequence", ["name", "seq"], "name, seq"
            )
        return Fingerprints(_hash_schema(connection), dict(sorted(found.items())))
    except apsw.Error as error:
        raise storage_error("the tables could not be hashed", error) from error


def _hash_schema(connection: apsw.Connection) -> str:
    digest = blake2b(hash_schema(connection), digest_size=16)
    for name in ("user_version", "application_id"):
        digest.update(b"%d\0" % connection.pragma(name))
    return digest.hexdigest()


def _has_counters(connection: apsw.Connection) -> bool:
    """Whether there are any: VACUUM, a node's own matter, drops their empty table."""
    exists = connection.execute(
        "select 1 from sqlite_schema where name = 'sqlite_sequence'"
    ).fetchall()
    return bool(exists) and bool(
        connection.execute("select 1 from sqlite_sequence limit 1").fetchall()
    )


def _hash_table(connection: apsw.Connection, table: Table) -> TableFingerprint:
    rows = connection.execute(
        "select name, hidden from pragma_table_xinfo(?) order by cid", (table.name,)
    )
    columns = [quote(str(name)) for name, hidden in rows if hidden != _VIRTUAL]
    if not table.keyless:
        key = ", ".join(quote(name) for name in table.key)
        return _hash_rows(connection, table.name, columns, key)
    rowid = rowid_name(table.columns)
    if rowid is None:  # no node has such a table, but another database may
        return _hash_rows(connection, table.name, columns, ", ".join(columns))
    return _hash_rows(connection, table.name, [rowid, *columns], rowid)


def rowid_name(columns: Iterable[str]) -> str | None:
    """A name for a table's rowid that none of its columns hides."""
    taken = {column.lower() for column in columns}
    names = ("_rowid_", "rowid", "oid")
    return next((name for name in names if name not in taken), None)


def _hash_rows(
    connection: apsw.Connection, table: str, columns: list[str], order: str
) -> TableFingerprint:
    # Which way is taken depends on the rows alone, so it is the same on every node.
    try:
        return _digest(connection, table, columns, order)
    except UnicodeDecodeError:
        exact = [
            f"typeof({column}), iif(typeof({column}) = 'text', "
            f"cast({column} as blob), {column})"
            for column in columns
        ]
        return _digest(connection, table, exact, order)


def _digest(
    connection: apsw.Connection, table: str, columns: list[str], order: str
) -> TableFingerprint:
    rows: Any = connection.execute(
        f"select {', '.join(columns)} from main.{quote(table)} "  # noqa: S608 - quoted
        f"order by {order}"
    )
    digest = blake2b(digest_size=16)
    encode = msgspec.msgpack.Encoder().encode
    count = 0
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        # Each row by itself, so that the hash does not depend on the chunk's size.
        encoded = b"".join(map(encode, chunk))
        if _NEGATIVE_ZERO in encoded:
            encoded = b"".join(encode(_without_negative_zero(row)) for row in chunk)
        digest.update(encoded)
        count += len(chunk)
    return TableFingerprint(count, digest.hexdigest())


def _without_negative_zero(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """To a session 0.0 and -0.0 are one value, so nodes may differ in the sign."""
    return tuple(value + 0.0 if type(value) is float else value for value in row)
