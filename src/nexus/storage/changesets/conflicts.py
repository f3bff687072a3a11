"""What does not fit: a change of the log's against the rows of this database."""

from collections.abc import Sequence
from typing import Any, Final

import apsw

_REASONS: Final = {
    apsw.SQLITE_CHANGESET_DATA: "the row here has other values",
    apsw.SQLITE_CHANGESET_NOTFOUND: "there is no such row here",
    apsw.SQLITE_CHANGESET_CONFLICT: "a row with this key exists here already",
    apsw.SQLITE_CHANGESET_CONSTRAINT: "a constraint forbids it here",
    apsw.SQLITE_CHANGESET_FOREIGN_KEY: "foreign keys would be violated here",
}


class RowConflictError(Exception):
    """A change does not fit the rows here; nothing of its changeset is applied."""

    def __init__(
        self, reason: int, table: str, operation: str, key: tuple[Any, ...]
    ) -> None:
        self.table = table
        self.operation = operation
        self.key = key
        self.reason = _REASONS.get(reason, f"conflict {reason}")
        super().__init__(f"{operation} in table {table}, key {key}: {self.reason}")

    @classmethod
    def of(cls, reason: int, change: apsw.TableChange) -> "RowConflictError":
        """What SQLite's apply reports; the change itself ends with the report."""
        return cls(reason, change.name, change.op, key_of(change))


def key_of(change: apsw.TableChange) -> tuple[Any, ...]:
    """The primary key of a change's row, before the change."""
    try:
        values = change.new if change.old is None else change.old
        assert values is not None, "a change has an old row or a new one"
        return tuple(values[at] for at in sorted(change.pk_columns))
    except UnicodeDecodeError:
        return ("(text that is not UTF-8)",)


def stands_already(reason: int, change: apsw.TableChange) -> bool:
    """Whether an insertion conflicts with nothing but its own row."""
    return (
        reason == apsw.SQLITE_CHANGESET_CONFLICT
        and change.new is not None
        and change.conflict is not None
        and same_row(change.new, change.conflict)
    )


def same_row(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two rows are the same, types included: 1 is not 1.0."""
    return len(one) == len(other) and all(map(same_value, one, other))


def same_value(one: Any, other: Any) -> bool:
    """Whether two values are the same to a session, for which 0.0 is also -0.0."""
    return type(one) is type(other) and bool(one == other)
