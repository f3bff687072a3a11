"""Places of the change feed, printed and parsed."""

import pytest

from nexus.model.change import Place
from nexus.model.position import Epoch, HistoryId, Offset, Position

SOMEWHERE = Position(Epoch(3), Offset(120), HistoryId("9f86d081"))
ANYWHERE = Position(Epoch(0), Offset(120), HistoryId(""))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("3:120@9f86d081", Place(SOMEWHERE)),
        ("3:120@9f86d081/4", Place(SOMEWHERE, 4)),
        ("120", Place(ANYWHERE)),
        ("120/0", Place(ANYWHERE, 0)),
    ],
)
def test_a_place_comes_back_from_its_text(text: str, place: Place) -> None:
    assert Place.parse(text) == place
    assert str(place) == text


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "3:@a", "120/", "120/x", "3:120@9f/-1", "12/3/4", "٣"]
)
def test_what_is_no_place_is_told_so(text: str) -> None:
    with pytest.raises(ValueError, match="no place like 120"):
        Place.parse(text)


def test_reading_goes_on_behind_the_entry_or_within_it() -> None:
    behind, within = Place(SOMEWHERE), Place(SOMEWHERE, 4)

    assert (behind.next_offset, behind.next_index) == (121, 0)
    assert (within.next_offset, within.next_index) == (120, 5)
