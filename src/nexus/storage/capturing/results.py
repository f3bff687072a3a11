"""What capture is asked to run, and what it answers."""

from collections.abc import Sequence
from typing import Any

import msgspec

from nexus.model.operation import Operation
from nexus.storage.schema.columns import SchemaChange
from nexus.storage.sqlite.connections import Column


class Statement(msgspec.Struct, frozen=True):
    """One statement with its parameters; `many` runs it once for each set."""

    sql: str
    params: Any = ()
    many: Any = None
    most_bytes: int = 0
    """Of a query's rows; 0: any number."""


class StatementResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one statement gave."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    rows_affected: int
    """-1 where SQLite does not count."""
    last_insert_rowid: int
    decltypes: tuple[str | None, ...] = ()
    """What the tables declare the columns to be."""

    @classmethod
    def of_query(
        cls, columns: Sequence[Column], rows: list[tuple[Any, ...]]
    ) -> "StatementResult":
        """What a query gave."""
        names = tuple(name for name, _ in columns)
        return cls(names, rows, -1, 0, tuple(declared for _, declared in columns))


class Captured(msgspec.Struct, frozen=True):
    """What a transaction did."""

    operations: tuple[Operation, ...]
    results: list[StatementResult]
    schema_hash: bytes
    """The schema before its first operation."""
    schema_changes: tuple[SchemaChange, ...] = ()
    """What its schema statements made of the tables."""
