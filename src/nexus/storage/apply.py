"""Put entries into the database exactly once, in order.

Many entries share one SQLite transaction, their row changes merged into one changeset;
the applied position commits with them. A change that does not fit the rows here stops
the apply with an error that names table and key.
"""

from collections.abc import Callable, Sequence

import apsw

from nexus.errors import ApplyConflictError, ApplyError, SchemaMismatchError
from nexus.model.entry import Payload, Record
from nexus.model.operation import (
    Fingerprint,
    Membership,
    Operation,
    Pragma,
    Reigned,
    Rows,
    Schema,
)
from nexus.model.operation import Sequence as SequenceMove
from nexus.model.position import HistoryId, Offset, Position
from nexus.storage.database import Database, storage_error

_REASONS = {
    apsw.SQLITE_CHANGESET_DATA: "the row here has other values",
    apsw.SQLITE_CHANGESET_NOTFOUND: "there is no such row here",
    apsw.SQLITE_CHANGESET_CONFLICT: "a row with this key exists here already",
    apsw.SQLITE_CHANGESET_CONSTRAINT: "a constraint forbids it here",
    apsw.SQLITE_CHANGESET_FOREIGN_KEY: "foreign keys would be violated here",
}

_APPLY_FLAGS = apsw.SQLITE_CHANGESETAPPLY_FKNOACTION


class Applier:
    """Applies on the writer's connection, in applying mode."""

    def __init__(
        self,
        database: Database,
        *,
        on_fingerprint: Callable[[Fingerprint, Offset], None] | None = None,
    ) -> None:
        self._database = database
        self._writer = database.writer
        self._on_fingerprint = on_fingerprint

    def apply(self, records: Sequence[Record]) -> Position:
        """Apply these entries; those that are applied already are passed over.

        Returns the applied position, committed; it stands right after the first
        entry that carries a mark, even if more were given. Raises ApplyError (a gap),
        ApplyConflictError or SchemaMismatchError: entries before the one that fails
        are applied and committed, nothing of it or after it.
        """
        applied = self._database.position.offset
        pending = [record for record in records if record.offset > applied]
        if not pending:
            return self._database.position
        if pending[0].offset != applied + 1:
            raise ApplyError(
                f"entry {pending[0].offset} cannot follow entry {applied}: the entries "
                "between them are missing; a full sync is needed"
            )
        payloads = [record.decoded() for record in pending]
        pending, payloads = _until_mark(pending, payloads)
        if len(pending) > 1:
            try:
                return self._apply_batch(pending, payloads)
            except ApplyError:
                # Merging can reorder rows whose keys compare equal; and if an entry
                # really does not fit, those before it shall still be applied.
                pass
        for record, payload in zip(pending, payloads, strict=True):
            self._apply_batch([record], [payload])
        return self._database.position

    def _apply_batch(
        self, records: Sequence[Record], payloads: Sequence[Payload]
    ) -> Position:
        self._database.begin()
        history_id = self._database.position.history_id
        merger = _Merger(self._writer)
        try:
            for record, payload in zip(records, payloads, strict=True):
                merger.offset = record.offset
                history_id = self._apply_entry(record, payload, merger, history_id)
            merger.flush()
            position = Position(records[-1].epoch, records[-1].offset, history_id)
        except apsw.Error as error:
            self._database.rollback()
            raise _as_apply_error(error, merger.offset) from error
        except BaseException:
            self._database.rollback()
            raise
        self._database.commit(position)
        if self._on_fingerprint is not None:
            for operation in payloads[-1].operations:
                if isinstance(operation, Fingerprint):
                    self._on_fingerprint(operation, position.offset)
        return position

    def _apply_entry(
        self,
        record: Record,
        payload: Payload,
        merger: "_Merger",
        history_id: HistoryId,
    ) -> HistoryId:
        if payload.schema_hash and payload.schema_hash != merger.schema_hash:
            merger.flush()
            merger.schema_hash = self._database.schema_hash()
            if payload.schema_hash != merger.schema_hash:
                raise SchemaMismatchError(
                    f"entry {record.offset} was made under another schema than this "
                    "database has (somebody changed it here, or a statement did not "
                    "replicate); a full sync is needed"
                )
        for operation in payload.operations:
            if isinstance(operation, Rows):
                merger.add(operation)
            elif isinstance(operation, Reigned):
                self._database.reign(operation.reign)
                history_id = operation.reign.history_id
            else:
                merger.flush()
                self._apply_other(operation)
                merger.schema_hash = b""
        if payload.transaction_id:
            self._database.remember_answer(
                payload.transaction_id, record.offset, payload.answer
            )
        return history_id

    def _apply_other(self, operation: Operation) -> None:
        match operation:
            case Schema(sql=sql):
                self._writer.execute(sql).fetchall()
            case Pragma(name=name, new=value):
                self._writer.execute(f"pragma {name} = {int(value)}")
            case SequenceMove(table=table, new=value):
                self._writer.execute(
                    "delete from sqlite_sequence where name = ?", (table,)
                )
                if value is not None:
                    self._writer.execute(
                        "insert into sqlite_sequence(name, seq) values (?, ?)",
                        (table, value),
                    )
            case Fingerprint() | Membership() | Rows() | Reigned():
                pass


class _Merger:
    """Collects changesets that may be merged, and applies them as one."""

    def __init__(self, writer: apsw.Connection) -> None:
        self.offset = Offset(0)
        self.schema_hash = b""
        self._writer = writer
        self._single = b""
        self._builder: apsw.ChangesetBuilder | None = None

    def add(self, rows: Rows) -> None:
        """Take one changeset; one that stands alone is applied at once."""
        if rows.alone:
            self.flush()
            self._single = rows.changeset
            self.flush()
        elif self._builder is not None:
            self._builder.add(rows.changeset)
        elif self._single:
            self._builder = apsw.ChangesetBuilder()
            self._builder.add(self._single)
            self._builder.add(rows.changeset)
            self._single = b""
        else:
            self._single = rows.changeset

    def flush(self) -> None:
        """Apply what is collected; raises ApplyConflictError."""
        if self._builder is not None:
            changeset = self._builder.output()
            self._builder.close()
            self._builder = None
        else:
            changeset = self._single
            self._single = b""
        if not changeset:
            return
        conflicts: list[ApplyConflictError] = []

        def refuse(reason: int, change: apsw.TableChange) -> int:
            conflicts.append(_conflict(reason, change, self.offset))
            return apsw.SQLITE_CHANGESET_ABORT

        try:
            apsw.Changeset.apply(
                changeset, self._writer, conflict=refuse, flags=_APPLY_FLAGS
            )
        except apsw.AbortError:
            if conflicts:
                raise conflicts[0] from None
            raise


def _until_mark(
    records: list[Record], payloads: list[Payload]
) -> tuple[list[Record], list[Payload]]:
    """These entries up to the first that carries a mark, if any does."""
    for index, payload in enumerate(payloads):
        if payload.operations and isinstance(payload.operations[0], Fingerprint):
            return records[: index + 1], payloads[: index + 1]
    return records, payloads


def _conflict(
    reason: int, change: apsw.TableChange, offset: Offset
) -> ApplyConflictError:
    values = change.old if change.old is not None else change.new
    key = ", ".join(
        repr(values[column]) for column in sorted(change.pk_columns) if values
    )
    return ApplyConflictError(
        f"entry {offset} does not fit the rows here: {change.op} in table "
        f"{change.name}, key {key}: {_REASONS.get(reason, 'conflict')}; this database "
        "has left its master's history and needs a full sync",
        table=change.name,
        key=key,
    )


def _as_apply_error(error: apsw.Error, offset: Offset) -> Exception:
    """A schema statement that fails here is a divergence; a full disk is not."""
    if isinstance(error, apsw.SQLError | apsw.ConstraintError | apsw.MismatchError):
        return ApplyError(
            f"entry {offset} cannot be applied here: {error}; a full sync is needed"
        )
    return storage_error(f"entry {offset} could not be applied", error)
