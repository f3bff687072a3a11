"""What a node's API writes is read as the SQL value that was meant."""

import math
from typing import Any

import pytest

from nexus.client.jsonvalues import read_value
from nexus.errors import ProtocolError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (None, None),
        (7, 7),
        ("text", "text"),
        ({"$blob": "AP8="}, b"\0\xff"),
        ({"$float": "-Infinity"}, -math.inf),
        ({"$text": "eP8="}, "x\udcff"),
    ],
)
def test_an_object_stands_for_a_value_and_all_else_for_itself(
    written: Any, meant: Any
) -> None:
    assert read_value(written) == meant


@pytest.mark.parametrize(
    "written", [{}, {"$blob": 1}, {"$blob": "A"}, {"$float": "1"}, {"$date": "AA=="}]
)
def test_an_object_that_stands_for_nothing_is_refused(written: Any) -> None:
    with pytest.raises(ProtocolError, match="has sent the value"):
        read_value(written)
