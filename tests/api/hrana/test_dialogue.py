import msgspec
import pytest

from nexus.api.hrana.dialogue import Ask, Execute, Said


def test_a_request_names_its_stream_beside_what_it_wants() -> None:
    said = (
        b'{"type": "request", "request_id": -1, "request": {"type": "execute", '
        b'"stream_id": 3, "stmt": {"sql": "x"}, "later": 1}}'
    )
    ask = msgspec.json.decode(said, type=Said)

    assert isinstance(ask, Ask)
    assert isinstance(ask.request, Execute)
    assert (ask.request.stream_id, ask.request.stmt.sql) == (3, "x")


@pytest.mark.parametrize("kind", ["open_cursor", "get_autocommit", "close"])
def test_what_came_with_later_versions_is_no_request(kind: str) -> None:
    said = {"type": "request", "request_id": 1, "request": {"type": kind}}

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(said, Said)
