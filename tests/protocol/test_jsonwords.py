"""What a node writes instead of an SQL value is what a client reads."""

import msgspec
import pytest

from nexus.api.values import write_value
from nexus.client.jsonvalues import read_value
from nexus.protocol.jsonwords import BLOB, FLOAT, FLOATS, TEXT


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b"\0\xff", BLOB),
        ("x\udcff", TEXT),
        *[(value, FLOAT) for value in FLOATS.values()],
    ],
)
def test_a_value_that_json_lacks_comes_back_under_its_word(
    value: object, word: str
) -> None:
    written = msgspec.json.decode(msgspec.json.encode(write_value(value)))

    assert list(written) == [word]
    assert read_value(written) == value
