"""Where a consumer of changes may go on, and what it is told where it may not."""

import pytest

from nexus.errors import ChangesGoneError, NotAppliedError, PositionLostError
from nexus.model.change import Place
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Reign
from nexus.replication.resumption import require_known, require_retained


def reign(epoch: int, history_id: str, first: int) -> Reign:
    return Reign(Epoch(epoch), HistoryId(history_id), "m", Offset(first), 0, "failover")


HISTORY = EpochHistory((reign(1, "a", 1), reign(2, "b", 50), reign(4, "c", 80)))
APPLIED = Offset(100)


@pytest.mark.parametrize(
    "place", ["0", "100", "1:49@a", "2:50@b", "2:79@b/3", "4:80@c", "4:100@c"]
)
def test_a_place_of_this_history_is_known(place: str) -> None:
    require_known(HISTORY, Place.parse(place), APPLIED)

    assert Place.parse(place).position.offset <= APPLIED


@pytest.mark.parametrize(
    ("place", "fork"),
    [("1:50@a", "1:49@a"), ("1:99@a", "1:49@a"), ("2:300@b", "2:79@b")],
)
def test_who_has_read_a_lost_tail_learns_where_it_began(place: str, fork: str) -> None:
    with pytest.raises(PositionLostError, match="taken back") as lost:
        require_known(HISTORY, Place.parse(place), APPLIED)

    assert lost.value.resume_from == fork


@pytest.mark.parametrize("place", ["101", "4:101@c", "5:90@d", "5:130@d"])
def test_a_node_that_is_behind_says_so(place: str) -> None:
    with pytest.raises(NotAppliedError, match="ask another node"):
        require_known(HISTORY, Place.parse(place), APPLIED)


@pytest.mark.parametrize("place", ["3:60@x", "1:10@x", "4:130@x", "2:10@b", "9:60@b"])
def test_a_place_of_no_such_history_is_lost(place: str) -> None:
    with pytest.raises(PositionLostError, match="read the tables as they are") as lost:
        require_known(HISTORY, Place.parse(place), APPLIED)

    assert lost.value.resume_from == ""


def test_a_node_that_has_not_applied_its_newest_reign_is_behind() -> None:
    with pytest.raises(NotAppliedError):
        require_known(HISTORY, Place.parse("2:75@b"), Offset(60))


def test_what_is_dropped_is_told_with_the_oldest_entry() -> None:
    require_retained(Place.parse("9"), Offset(10))
    require_retained(Place.parse("10/2"), Offset(10))

    for place in ("8", "9/2"):
        with pytest.raises(ChangesGoneError, match="from=10") as gone:
            require_retained(Place.parse(place), Offset(10))
        assert gone.value.oldest_offset == 10
