"""SQL values and results as Hrana writes them."""

import binascii
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, assert_never

import msgspec

from nexus.api.hrana.messages import (
    BlobValue,
    FloatValue,
    IntegerValue,
    NullValue,
    TextValue,
    Value,
)
from nexus.api.hrana.results import Col, StmtResult
from nexus.api.refusals import ArgumentsError
from nexus.api.values import LEAST_INTEGER, MOST_INTEGER
from nexus.storage.capturing.results import StatementResult

_NULL: Final = NullValue()

_INFINITIES: Final = {
    math.inf: msgspec.Raw(b"1e999"),
    -math.inf: msgspec.Raw(b"-1e999"),
}
"""JSON has no word for them; every reader takes this for infinite."""


def read_value(value: Value) -> Any:
    """What the value stands for; raises ArgumentsError."""
    match value:
        case NullValue():
            return None
        case IntegerValue():
            number = int(value.value)
            if not LEAST_INTEGER <= number <= MOST_INTEGER:
                raise ArgumentsError(f"{number} has more than the 64 bits of SQL")
            return number
        case FloatValue() | TextValue():
            return value.value
        case BlobValue():
            padding = "=" * (-len(value.base64) % 4)
            return binascii.a2b_base64(value.base64 + padding)
        case _:
            assert_never(value)


def write_value(value: Any) -> Value:
    """The value as Hrana writes it."""
    kind = type(value)
    if kind is int:
        return IntegerValue(str(value))
    if kind is str:
        return TextValue(value)
    if value is None:
        return _NULL
    if kind is bytes:
        return BlobValue(binascii.b2a_base64(value, newline=False).decode())
    return FloatValue(_INFINITIES.get(value, value))


def write_row(row: Iterable[Any]) -> list[Value]:
    """A row as Hrana writes it."""
    return [write_value(value) for value in row]


def write_columns(result: StatementResult) -> list[Col]:
    """The columns of a result."""
    declared: Sequence[str | None] = result.decltypes or (None,) * len(result.columns)
    return [Col(*pair) for pair in zip(result.columns, declared, strict=True)]


def write_counts(result: StatementResult) -> tuple[int, str | None]:
    """How many rows were changed, and the id of the last one that was inserted."""
    if result.rows_affected < 0:
        return 0, None
    return result.rows_affected, str(result.last_insert_rowid)


def write_result(result: StatementResult, *, want_rows: bool) -> StmtResult:
    """What a statement gave."""
    rows = [write_row(row) for row in result.rows] if want_rows else []
    return StmtResult(write_columns(result), rows, *write_counts(result))
