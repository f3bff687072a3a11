import math

import msgspec
import pytest

from nexus.api.hrana.messages import BlobValue, FloatValue, IntegerValue, Value
from nexus.api.hrana.values import read_value, write_counts, write_value
from nexus.api.refusals import ArgumentsError
from nexus.storage.capturing.results import StatementResult


@pytest.mark.parametrize(
    "value",
    [None, 0, 2**63 - 1, -(2**63), 1.5, -0.0, 1e300, "", "a\0b", b"", b"\xff\0"],
)
def test_every_value_survives_the_way(value: object) -> None:
    said = msgspec.json.encode(write_value(value))
    read = read_value(msgspec.json.decode(said, type=Value))

    assert (type(read), read) == (type(value), value)


def test_an_infinite_number_is_one_that_every_reader_takes_for_it() -> None:
    said = msgspec.json.encode([write_value(math.inf), write_value(-math.inf)])

    assert said == (b'[{"type":"float","value":1e999},{"type":"float","value":-1e999}]')


def test_an_integer_of_more_than_64_bits_is_refused() -> None:
    with pytest.raises(ArgumentsError, match="64 bits"):
        read_value(IntegerValue("9223372036854775808"))


def test_a_blob_may_come_without_padding() -> None:
    assert [read_value(BlobValue(text)) for text in ("", "AA", "AAA", "AAAA")] == [
        b"",
        b"\0",
        b"\0\0",
        b"\0\0\0",
    ]
    assert read_value(FloatValue(2.0)) == 2.0


def test_what_sqlite_does_not_count_is_none() -> None:
    assert write_counts(StatementResult((), [], -1, 9)) == (0, None)
    assert write_counts(StatementResult((), [], 0, 9)) == (0, "9")
