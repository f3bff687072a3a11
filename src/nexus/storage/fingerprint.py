"""Content hashes of every table, to prove that two nodes hold the same.

What is hashed: the schema, each table's rows in the order of their key (with the rowid
where it travels), counters, and the settings kept in the file. The hash reads values,
not pages: two equal databases agree whatever their files look like.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

import apsw
import msgspec

from nexus.storage.database import hash_schema
from nexus.storage.statements import quote
from nexus.storage.tables import Table, read_tables

_encode: Final = msgspec.msgpack.Encoder().encode


class TableFingerprint(msgspec.Struct, frozen=True):
    """One table's rows."""

    rows: int
    hash: str


class Fingerprints(msgspec.Struct, frozen=True):
    """A whole database; equal databases give equal values."""

    schema: str
    settings: dict[str, int]
    tables: dict[str, TableFingerprint]


def fingerprint(connection: apsw.Connection) -> Fingerprints:
    """Hash everything that the connection's open read transaction sees."""
    tables = {
        table.name: _hash_rows(_rows(connection, table))
        for table in read_tables(connection).values()
    }
    counters = connection.execute(
        "select count(*) from sqlite_schema where name = 'sqlite_sequence'"
    ).fetchall()[0][0]
    if counters:
        tables["sqlite_sequence"] = _hash_rows(
            connection.execute("select name, seq from sqlite_sequence order by name")
        )
    settings = {
        name: connection.execute(f"pragma {name}").fetchall()[0][0]
        for name in ("user_version", "application_id")
    }
    return Fingerprints(hash_schema(connection).hex(), settings, tables)


def _rows(connection: apsw.Connection, table: Table) -> Iterator[Any]:
    """Each column as its type and its bytes: text need not be valid UTF-8."""
    columns = [] if table.without_rowid or not table.rowid_travels else ["rowid"]
    for name in table.columns:
        column = quote(name)
        columns.append(
            f"case typeof({column}) when 'text' then cast({column} as blob) "
            f"else {column} end"
        )
        columns.append(f"typeof({column})")
    if table.without_rowid or not table.rowid_travels:
        order = ", ".join(f"{quote(name)} collate binary" for name in table.key)
    else:
        order = "rowid"
    return connection.execute(
        f"select {', '.join(columns)} from main.{quote(table.name)} "  # noqa: S608
        f"order by {order}"
    )


def _hash_rows(rows: Iterator[Any]) -> TableFingerprint:
    digest = blake2b(digest_size=16)
    count = 0
    for row in rows:
        digest.update(_encode(row))
        count += 1
    return TableFingerprint(count, digest.hexdigest())
