"""Record what one transaction does: sessions, cut wherever order matters.

Changes within a changeset have no order, so a session ends before and after each
schema statement and at each savepoint; an entry is the ordered list of the pieces. A
small transaction of row changes alone needs no session (see `preupdate`).
"""

from typing import Any, Final

from nexus.errors import RefusedStatementError
from nexus.model.names import folded
from nexus.model.operation import Operation, Pragma, Rows, Schema
from nexus.model.pragmas import PragmaUse, read_pragma
from nexus.model.statements import quote
from nexus.storage.capturing.preupdate import SmallChanges
from nexus.storage.capturing.sequences import SequenceWatch
from nexus.storage.capturing.sessions import Sessions
from nexus.storage.database import Database
from nexus.storage.schema import system
from nexus.storage.schema.columns import SchemaChanges
from nexus.storage.schema.statements import (
    SchemaStatement,
    read_schema_statement,
    refuse_unreplicable_schema,
    sync_triggers,
)
from nexus.storage.schema.system import PREFIX
from nexus.storage.schema.tables import read_tables
from nexus.storage.sqlite.connections import Column, fetch
from nexus.storage.sqlite.permissions import Scope

_ASIDE: Final = "nexus_aside"
"""The TEMP table where the rows of CREATE TABLE AS wait for theirs."""

_VIRTUAL: Final = "rootpage = 0 and type = 'table'"

_FOLLOWERS: Final = f"type = 'trigger' or {_VIRTUAL} or sql like '%references%'"
"""What may change more rows than a statement names."""


class Recorder:
    """The operations of one transaction at a time, on the writer's connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = database.writer
        self._permissions = database.permissions
        self._small = SmallChanges(database.writer)
        self._is_small = False
        self._sessions = Sessions(database)
        self._operations: list[Operation] = []
        self._taken_bytes = self._virtual_made = 0
        self._marks: dict[int, tuple[int, int, int]] = {}
        """By depth: how many operations there were, their bytes, virtual tables."""
        self.schema_changes = SchemaChanges()
        self._known_schema = b""
        """Its hash; empty: to be read. Nobody else changes the schema in a reign."""
        self._refreshed = self._deferred = False
        self._sequences = SequenceWatch(database.writer)
        self.has_followers = False
        """Whether a change of a row can change others: by triggers or foreign keys."""

    @property
    def size_bytes(self) -> int:
        """Memory that the transaction's changes take so far."""
        if self._is_small:
            return self._taken_bytes
        return self._taken_bytes + self._sessions.size_bytes

    def begin(self, *, small: bool = False) -> bytes:
        """Begin to record; a savepoint of the transaction is open already.

        With `small` only queries and row changes may follow, and `finish` may raise
        NotSmallError. Returns the hash of the schema as it is now.
        """
        self._sessions.begin(self._operations)
        self._operations = []
        self.schema_changes.clear()
        self._taken_bytes = self._virtual_made = 0
        self._marks = {}
        self._refreshed = False
        if not self._known_schema:
            self._refresh()
        self._sequences.begin()
        # FTS5 keeps rows back until a session asks for them.
        self._is_small = small and not self._sessions.has_virtual
        if self._is_small:
            self._small.begin()
        else:
            self._sessions.open(self._operations)
        return self._known_schema

    def finish(self) -> tuple[Operation, ...]:
        """End the recording; the operations in order."""
        if self._is_small:
            self._take_small()
        else:
            self._cut()
        changed = any(type(operation) is Schema for operation in self._operations)
        self._operations += self._sequences.moves(schema_changed=changed)
        self._reset_deferral()
        return tuple(self._operations)

    def drop(self, *, everything: bool = False) -> None:
        """The transaction (or everybody's, with `everything`) is being taken back."""
        self._small.drop()
        self._sessions.drop()
        self._operations = []
        self._sequences.forget()
        self._reset_deferral()
        if self._refreshed or everything:
            self._known_schema = b""

    def mark(self, depth: int) -> None:
        """A client's savepoint of this depth begins here."""
        self._cut()
        self._marks[depth] = (
            len(self._operations),
            self._taken_bytes,
            self._virtual_made,
        )
        self._sessions.open(self._operations)

    def back_to(self, depth: int) -> None:
        """Drop all that was recorded since the savepoint of this depth."""
        self._sessions.drop()
        kept, self._taken_bytes, _ = self._marks[depth]
        del self._operations[kept:]
        self.schema_changes.back_to(kept)

    def made_virtual_since(self, depth: int | None = None) -> bool:
        """Whether this transaction made a virtual table, since a savepoint."""
        before = 0 if depth is None else self._marks[depth][2]
        return self._virtual_made > before

    def resume(self) -> None:
        """After SQLite went back to the savepoint: record on."""
        if self._database.schema_hash() != self._known_schema:
            self._refresh()
        self._sessions.open(self._operations)

    def run_schema(self, sql: str, params: Any) -> None:
        """Run a schema statement and record it, with the rows it changes elsewhere.

        Raises RefusedStatementError for a schema that cannot be replicated.
        """
        statement = read_schema_statement(sql)
        self._cut()
        before, tables = self._known_schema, self._sessions.tables
        self._writer.execute("savepoint nexus_schema")
        self._virtual_made += statement.makes_virtual
        try:
            rows = self._run_schema_statement(statement, params)
            self._refuse_unreplicable(statement)
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("rollback to nexus_schema")
                self._writer.execute("release nexus_schema")
                self._sessions.tables = tables
                self._sessions.open(self._operations)
            raise
        self._writer.execute("release nexus_schema")
        if self._database.schema_hash(anew=True) != before:
            self._operations.extend(rows)
            self._refresh()
            self.schema_changes.add(self._operations, tables, self._sessions.tables)
        self._sessions.open(self._operations)

    def _refuse_unreplicable(self, statement: SchemaStatement) -> None:
        if not system.is_alone(self._writer):
            raise RefusedStatementError(
                f"this makes an object whose name begins with {PREFIX}, which is "
                "reserved; choose another name"
            )
        refuse_unreplicable_schema(self._writer, statement, read_tables(self._writer))

    def run_pragma(self, sql: str) -> tuple[list[Column], list[tuple[Any, ...]]]:
        """Run a pragma that is safe here; its columns and rows.

        Raises RefusedStatementError for any other.
        """
        pragma = read_pragma(sql)
        if pragma.use is PragmaUse.STORED:
            old = self._writer.pragma(pragma.name)
            self._writer.execute(sql)
            new = self._writer.pragma(pragma.name)
            if old != new:
                self._operations.append(Pragma(pragma.name, old, new))
            return [], []
        if pragma.use is PragmaUse.UNCHANGED:
            return fetch(self._writer, f"pragma {pragma.name}")
        if pragma.use is PragmaUse.DEFERRAL:
            self._deferred = True
        return fetch(self._writer, sql)

    def run_locally(self, sql: str) -> None:
        """ANALYZE, REINDEX: this node's own matter."""
        with self._permissions.within(Scope.SCHEMA):
            self._writer.execute(sql).fetchall()

    def _run_schema_statement(
        self, statement: SchemaStatement, params: Any
    ) -> list[Operation]:
        if statement.query:
            return self._run_create_as(statement, params)
        if statement.drops_table:
            # Foreign keys delete elsewhere, and triggers of what they delete write
            # anywhere; a virtual table's own rows go with it on every node.
            dropped = folded(statement.name)
            tables = self._sessions.tables
            shadow = "" if dropped in tables else f"{dropped}_"
            others = {
                name
                for name in tables
                if name != dropped and not (shadow and name.startswith(shadow))
            }
            self._sessions.open(self._operations, only=others)
            with self._permissions.within(Scope.DROP_TABLE):
                self._writer.execute(statement.sql, params)
            return [*self._noted(), Schema(statement.sql)]
        with self._permissions.within(Scope.SCHEMA):
            self._writer.execute(statement.sql, params)
        return [Schema(statement.sql)]

    def _run_create_as(
        self, statement: SchemaStatement, params: Any
    ) -> list[Operation]:
        """Run the query once; carry its table as SQL and its rows as rows.

        The rows wait in a TEMP table: renaming the new table instead would also
        rewrite the views and triggers that name it already.
        """
        taken = self._writer.execute(
            "select 1 from sqlite_schema where name = ? collate nocase",
            (statement.name,),
        ).fetchall()
        if taken:  # nothing is done for IF NOT EXISTS, anything else is an error
            with self._permissions.within(Scope.SCHEMA):
                self._writer.execute(statement.sql, params)
            return []
        self._writer.execute(f"create temp table {_ASIDE} as {statement.query}", params)
        aside: list[Any] = self._writer.execute(
            "select sql from temp.sqlite_schema where name = ?", (_ASIDE,)
        ).fetchall()
        name = quote(statement.name)
        created = f"CREATE TABLE {name}" + aside[0][0].removeprefix(
            f"CREATE TABLE {_ASIDE}"
        )
        self._writer.execute(created)
        self._sessions.open(self._operations)
        self._writer.execute(
            f"insert into main.{name} select * from temp.{_ASIDE}"  # noqa: S608 - quoted
        )
        self._sessions.tables = read_tables(self._writer)
        rows = self._noted()
        self._writer.execute(f"drop table temp.{_ASIDE}")
        return [Schema(created), *rows]

    def _cut(self) -> None:
        """End the session; what it saw becomes operations."""
        self._operations += self._noted()

    def _noted(self) -> list[Rows]:
        """End the session; what it saw, which is no operation yet."""
        rows, size_bytes = self._sessions.cut(self._operations)
        self._taken_bytes += size_bytes
        return rows

    def _take_small(self) -> None:
        if changeset := self._small.end():
            self._taken_bytes += len(changeset)
            self._operations.append(Rows(changeset))

    def _refresh(self) -> None:
        """The schema has changed: know its tables, and guard their keys."""
        tables = read_tables(self._writer)
        self._small.know(tables.values())
        self._sessions.know(tables, has_virtual=self._has(_VIRTUAL))
        self._permissions.forget()
        sync_triggers(self._writer, tables)
        self.has_followers = self._has(_FOLLOWERS)
        self._sequences.exist = self._has("name = 'sqlite_sequence'")
        self._known_schema = self._database.schema_hash()
        self._refreshed = True

    def _has(self, condition: str) -> bool:
        """Whether an object of the schema is so."""
        sql = f"select 1 from sqlite_schema where {condition} limit 1"  # noqa: S608
        return bool(self._writer.execute(sql).fetchall())

    def _reset_deferral(self) -> None:
        if self._deferred:
            self._deferred = False
            if self._writer.in_transaction:
                self._writer.execute("pragma defer_foreign_keys = 0")
