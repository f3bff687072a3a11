"""SQL values in JSON, exact both ways.

JSON has no word for three kinds of SQL values, so they travel as objects:

    {"$blob": "AP8="}         a BLOB, in base64
    {"$float": "Infinity"}    an infinite REAL, or "-Infinity"
    {"$text": "gA=="}         TEXT that is not UTF-8, in base64; in changes alone

All else is itself: NULL is null, integers are exact over all 64 bits, true and false
are bound as 1 and 0. SQLite keeps no NaN: it stores NULL.
"""

import binascii
import math
from itertools import chain
from typing import Any, Final

import msgspec

from nexus.errors import RequestError
from nexus.node.requests import SqlRequest, SqlResponse, SqlResult, SqlStatement
from nexus.protocol.jsonwords import BLOB, FLOAT, FLOATS, TEXT

LEAST_INTEGER: Final = -(1 << 63)
MOST_INTEGER: Final = (1 << 63) - 1

TRANSACTION_ID_LIMIT: Final = 200
"""Characters; ids are kept in the database and travel in every entry."""

_PLAIN: Final = frozenset((str, float, bool, type(None)))

_encode: Final = msgspec.json.Encoder().encode


def read_params(request: SqlRequest) -> None:
    """Replace, in place, the objects among the params by the values they stand for.

    Raises RequestError that names statement and parameter.
    """
    for index, statement in enumerate(request.statements):
        params = statement.params
        if not params:
            continue
        values = params.values() if type(params) is dict else params
        if not _PLAIN.issuperset(map(type, values)):
            _read_statement(index, statement)


def _read_statement(index: int, statement: SqlStatement) -> None:
    params = statement.params
    places: Any = params.items() if isinstance(params, dict) else enumerate(params)
    for place, value in list(places):
        try:
            params[place] = _read_value(value)
        except ValueError as error:
            raise RequestError(
                f"statements[{index}].params[{place!r}]: {error}"
            ) from None


def _read_value(value: Any) -> Any:
    if type(value) is int:
        if not LEAST_INTEGER <= value <= MOST_INTEGER:
            raise ValueError("an SQL integer has 64 bits; send a larger one as text")
        return value
    if not isinstance(value, list | dict):
        return value
    if isinstance(value, dict) and len(value) == 1:
        [(kind, text)] = value.items()
        if kind == BLOB and isinstance(text, str):
            return _read_blob(text)
        if kind == FLOAT and isinstance(text, str) and text in FLOATS:
            return FLOATS[text]
    raise ValueError(
        "a value is null, true, false, a number, text, "
        '{"$blob": "base64"} or {"$float": "Infinity"}'
    )


def _read_blob(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("$blob is not base64") from None


def encode_response(response: SqlResponse) -> bytes:
    """The answer as JSON."""
    if any(result.rows and _is_special(result.rows) for result in response.results):
        response = _written(response)
    return _encode(response)


def _is_special(rows: list[tuple[Any, ...]]) -> bool:
    # Large results are common and special values rare, so this only runs C loops.
    kinds = set(map(type, chain.from_iterable(rows)))
    return bytes in kinds or (
        float in kinds and any(math.inf in row or -math.inf in row for row in rows)
    )


def _written(response: SqlResponse) -> SqlResponse:
    results = [
        SqlResult(
            result.columns,
            [tuple(map(write_value, row)) for row in result.rows],
            result.rows_affected,
            result.last_insert_rowid,
        )
        for result in response.results
    ]
    return msgspec.structs.replace(response, results=results)


def write_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a change; the same one if all its values are themselves in JSON.

    Text that is not UTF-8 has each byte that is at fault as a lone surrogate.
    """
    if not any(map(_is_odd, row.values())):
        return row
    return {name: write_value(value) for name, value in row.items()}


def _is_odd(value: Any) -> bool:
    kind = type(value)
    return (
        kind is bytes
        or (kind is str and not value.isascii())
        or (kind is float and math.isinf(value))
    )


def write_value(value: Any) -> Any:
    """A value for msgspec, which writes bytes in base64; most are themselves."""
    if type(value) is bytes:
        return {BLOB: value}
    if type(value) is float and math.isinf(value):
        return {FLOAT: "Infinity" if value > 0 else "-Infinity"}
    if type(value) is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return {TEXT: value.encode(errors="surrogateescape")}
    return value
