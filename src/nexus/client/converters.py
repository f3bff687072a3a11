"""From Python's values to SQLite's five types, and back where a type is declared."""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any, Final

from nexus.client.exceptions import ProgrammingError
from nexus.client.session import Value

PARSE_DECLTYPES: Final = 1
PARSE_COLNAMES: Final = 2

Date = dt.date
Time = dt.time
Timestamp = dt.datetime
Binary = memoryview

Converter = Callable[[bytes], Any]


class PrepareProtocol:
    """The protocol that objects with `__conform__` are asked for."""


STRING: Final = str
BINARY: Final = bytes
NUMBER: Final = float
DATETIME: Final = dt.datetime
ROWID: Final = int
"""PEP 249's type objects. A column of SQLite has no type: `description` tells None."""

adapters: Final[dict[tuple[type, type], Callable[[Any], Any]]] = {}
converters: Final[dict[str, Converter]] = {}
plain: Final[set[type]] = {int, float, str, bytes, type(None)}
"""Types that go to SQLite as they are."""


def register_adapter(kind: type, adapter: Callable[[Any], Any], /) -> None:
    """Call `adapter` on every parameter of exactly this type."""
    plain.discard(kind)
    adapters[kind, PrepareProtocol] = adapter


def register_converter(typename: str, converter: Converter, /) -> None:
    """Call `converter` on the bytes of every value of a column of this type.

    Which type a column has is what `detect_types` says.
    """
    converters[typename.upper()] = converter


_NOTHING: Final = object()


def adapt(value: Any, proto: Any = PrepareProtocol, alt: Any = _NOTHING, /) -> Any:
    """What `value` becomes for SQLite; raises ProgrammingError if nothing."""
    adapter = adapters.get((type(value), proto))
    if adapter is not None:
        return adapter(value)
    for holder, method, argument in (
        (proto, "__adapt__", value),
        (value, "__conform__", proto),
    ):
        call = getattr(holder, method, None)
        if call is None:
            continue
        try:
            adapted = call(argument)
        except TypeError:
            continue
        if adapted is not None:
            return adapted
    if alt is _NOTHING:
        raise ProgrammingError("can't adapt")
    return alt


def to_value(given: Any, number: int) -> Value:
    """A parameter as one of SQLite's types; `number` is its place, from 1.

    Raises ProgrammingError for a type without an adapter, and what Python raises:
    OverflowError beyond 64 bits, UnicodeEncodeError for a lone surrogate, BufferError.
    """
    value = given if type(given) in plain else adapt(given, PrepareProtocol, given)
    if value is None or isinstance(value, float):
        return value if value is None else float.__pos__(value)
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return int.__pos__(value)
    if isinstance(value, str):
        if not value.isascii():
            value.encode()
        return str.__str__(value)
    try:
        view = memoryview(value)
    except TypeError:
        raise ProgrammingError(
            f"Error binding parameter {number}: type '{type(given).__name__}' is not "
            "supported"
        ) from None
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    return bytes(view)


def converter_for(
    name: str, decltype: str | None, detect_types: int
) -> Converter | None:
    """What a column's values pass through; its name goes before its declaration."""
    if detect_types & PARSE_COLNAMES and "[" in name:
        typename = name.partition("[")[2].partition("]")[0]
        found = converters.get(typename.upper())
        if found is not None:
            return found
    if detect_types & PARSE_DECLTYPES and decltype:
        typename = decltype.partition(" ")[0].partition("(")[0]
        return converters.get(typename.upper())
    return None


def shown_name(name: str, detect_types: int) -> str:
    """A column's name as `description` shows it: without ` [type]`."""
    if detect_types & PARSE_COLNAMES and "[" in name:
        return name.partition("[")[0].removesuffix(" ")
    return name


def to_bytes(value: Value) -> bytes | None:
    """The bytes that a converter gets; None where it is not called.

    SQLite knows no empty blob here, so that nothing is what they become.
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        return value or None
    if isinstance(value, float):
        return _written(value).encode()
    return str(value).encode() or None


def _written(number: float) -> str:
    """A float as SQLite writes it: 15 digits, and always a point."""
    text = format(number, ".15g")
    if "inf" in text:
        return text.replace("inf", "Inf")
    mantissa, mark, exponent = text.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return mantissa + mark + exponent


def DateFromTicks(ticks: float) -> dt.date:  # noqa: N802 - PEP 249's name
    """A date from seconds since 1970, local time."""
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> dt.time:  # noqa: N802 - PEP 249's name
    """A time of day from seconds since 1970, local time."""
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> dt.datetime:  # noqa: N802 - PEP 249's
    """A date and time from seconds since 1970, local time."""
    return Timestamp(*time.localtime(ticks)[:6])


def _date(text: bytes) -> dt.date:
    return dt.date(*map(int, text.split(b"-")))


def _timestamp(text: bytes) -> dt.datetime:
    day, clock = text.split(b" ")
    year, month, date = map(int, day.split(b"-"))
    whole, _, fraction = clock.partition(b".")
    hours, minutes, seconds = map(int, whole.split(b":"))
    microseconds = int(f"{fraction.decode():0<6.6}") if fraction else 0
    return Timestamp(year, month, date, hours, minutes, seconds, microseconds)


register_adapter(dt.date, dt.date.isoformat)
register_adapter(dt.datetime, lambda value: value.isoformat(" "))
register_converter("date", _date)
register_converter("timestamp", _timestamp)
