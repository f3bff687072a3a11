import msgspec

from nexus.api.answers import plain
from nexus.model.position import Epoch, HistoryId, Offset, Position


class Found(msgspec.Struct):
    id: str
    position: Position


def test_a_struct_of_a_store_is_an_object_with_its_position_as_text() -> None:
    position = Position(Epoch(3), Offset(120), HistoryId("9f86d081"))

    assert plain(Found("d1", position)) == {
        "id": "d1",
        "position": "3:120@9f86d081",
    }
    assert plain({"at": position, "n": 1}) == {"at": "3:120@9f86d081", "n": 1}
