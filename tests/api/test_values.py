import math
from typing import Any

import msgspec
import pytest

from nexus.api.values import encode_response, read_params, write_value
from nexus.client.jsonvalues import read_value
from nexus.errors import RequestError
from nexus.model.cluster import Outcome
from nexus.node.requests import SqlRequest, SqlResponse, SqlResult, SqlStatement


def read(params: list[Any] | dict[str, Any]) -> Any:
    request = SqlRequest([SqlStatement("select 1"), SqlStatement("select ?", params)])
    read_params(request)
    return request.statements[1].params


def written(*row: Any) -> Any:
    result = SqlResult(("a",), [row], 0, 0)
    response = SqlResponse([result], 0, 0, Outcome.COMMITTED, 1)
    return msgspec.json.decode(encode_response(response))["results"][0]["rows"][0]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ({"$blob": "AP8="}, b"\x00\xff"),
        ({"$blob": ""}, b""),
        ({"$float": "Infinity"}, math.inf),
        ({"$float": "-Infinity"}, -math.inf),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (1.5, 1.5),
        ("a\x00b", "a\x00b"),
        (True, True),
        (None, None),
    ],
)
def test_a_param_is_the_value_that_it_stands_for(sent: Any, meant: Any) -> None:
    assert read([7, sent]) == [7, meant]
    assert read({"a": 7, "b": sent}) == {"a": 7, "b": meant}


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        [],
        {},
        {"$blob": "AP8"},
        {"$blob": "AP8=\n"},
        {"$blob": "ä"},
        {"$blob": 1},
        {"$float": "NaN"},
        {"$float": 1},
        {"$float": []},
        {"$blob": "", "more": 1},
    ],
)
def test_a_param_that_is_no_sql_value_is_named_by_its_place(value: Any) -> None:
    with pytest.raises(RequestError, match=r"statements\[1\]\.params\[1\]: "):
        read([1, value])
    with pytest.raises(RequestError, match=r"statements\[1\]\.params\['x'\]: "):
        read({"x": value})


def test_a_named_param_may_be_called_like_the_words_for_values() -> None:
    assert read({"$blob": "text"}) == {"$blob": "text"}


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (b"\x00\xff", {"$blob": "AP8="}),
        (math.inf, {"$float": "Infinity"}),
        (-math.inf, {"$float": "-Infinity"}),
        (2**63 - 1, 2**63 - 1),
        (1.0, 1.0),
        (None, None),
    ],
)
def test_a_value_of_a_row_is_exact_in_json(value: Any, json: Any) -> None:
    assert written(1, value, "x") == [1, json, "x"]


@pytest.mark.parametrize("value", [None, 1, "x", 2.5, b"\x00", math.inf, "a\udcff"])
def test_a_client_reads_the_value_that_was_written(value: Any) -> None:
    sent = msgspec.json.decode(msgspec.json.encode(write_value(value)))
    assert read_value(sent) == value
