"""From Python's values to SQLite's types, and back."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from nexus.client import converters
from nexus.client.converters import adapt, to_bytes, to_value
from nexus.client.exceptions import ProgrammingError


class Point:
    """Something that SQLite knows nothing of."""


@pytest.fixture
def registries() -> Iterator[None]:
    """Adapters and converters that a test adds are gone after it."""
    adapters, found = dict(converters.adapters), dict(converters.converters)
    plain = set(converters.plain)
    yield
    converters.adapters.clear()
    converters.adapters.update(adapters)
    converters.converters.clear()
    converters.converters.update(found)
    converters.plain.clear()
    converters.plain.update(plain)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (True, 1),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (2**63 - 1, 2**63 - 1),
        ("ä", "ä"),
        (1.5, 1.5),
        (None, None),
    ],
)
def test_a_parameter_becomes_exactly_one_of_sqlites_types(
    given: Any, value: Any
) -> None:
    found = to_value(given, 1)

    assert (found, type(found)) == (value, type(value))


def test_a_type_without_an_adapter_is_named_with_its_place() -> None:
    with pytest.raises(ProgrammingError, match="parameter 3: type 'Point'"):
        to_value(Point(), 3)


@pytest.mark.usefixtures("registries")
def test_an_adapter_of_a_plain_type_is_asked_too() -> None:
    converters.register_adapter(int, lambda number: -number)

    assert to_value(3, 1) == -3


def test_what_cannot_be_adapted_is_an_error_or_the_alternative() -> None:
    with pytest.raises(ProgrammingError, match="can't adapt"):
        adapt(Point())
    assert adapt(Point(), converters.PrepareProtocol, "instead") == "instead"


@pytest.mark.parametrize(
    "number", [1.0, 1e15, 1e16, 1.5e-7, 123456789.125, -2.5, 1e300, float("inf"), 0.1]
)
def test_a_converter_gets_a_float_as_sqlite_writes_it(number: float) -> None:
    connection = sqlite3.connect(":memory:")
    written = connection.execute("select cast(? as text)", (number,)).fetchone()[0]
    connection.close()

    assert to_bytes(number) == written.encode()


def test_a_converter_is_not_called_for_nothing() -> None:
    assert to_bytes(None) is None
    assert to_bytes("") is None
    assert to_bytes(b"") is None
    assert to_bytes(12) == b"12"
