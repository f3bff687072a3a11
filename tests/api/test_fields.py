"""Whoever sends an unknown field is told the known ones."""

import msgspec
import pytest

from nexus.api.bodies import decoded
from nexus.api.fields import known_fields
from nexus.errors import RequestError
from nexus.node.requests import SqlRequest

OF_REQUEST = (
    "known here are statements, transaction, consistency, min_offset, transaction_id"
)


class Leaf(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    a_name: int = 0


class Root(msgspec.Struct, forbid_unknown_fields=True):
    leaf: Leaf | None = None
    leaves: list[Leaf] | int = 0
    by_name: dict[str, Leaf] = {}


@pytest.mark.parametrize(
    ("body", "known"),
    [
        (b'{"statments": []}', f"`statments`; {OF_REQUEST}"),
        (
            b'{"statements": [{"sql": "x"}, {"sql": "x", "parameters": []}]}',
            "`$.statements[1]`; known here are sql, params",
        ),
    ],
)
def test_the_body_of_sql_tells_its_fields(body: bytes, known: str) -> None:
    with pytest.raises(RequestError) as caught:
        decoded(msgspec.json.Decoder(SqlRequest), body)

    assert str(caught.value).endswith(known)


@pytest.mark.parametrize(
    ("body", "known"),
    [
        (b'{"x": 1}', "; known here are leaf, leaves, by_name"),
        (b'{"leaf": {"x": 1}}', "; known here are aName"),
        (b'{"leaves": [{"x": 1}]}', "; known here are aName"),
        (b'{"by_name": {"y": {"x": 1}}}', ""),
        (b'{"leaf": 7}', ""),
    ],
)
def test_the_place_in_the_body_is_found(body: bytes, known: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=Root)

    assert known_fields(Root, str(caught.value)) == known
