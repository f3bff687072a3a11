"""Where an entry stands, and where two histories part."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.model.position import (
    NO_OFFSET,
    ORIGIN,
    Epoch,
    EpochHistory,
    HistoryId,
    Offset,
    Position,
    Reign,
)

naturals = st.integers(0, (1 << 63) - 1)


def reign(epoch: int, history_id: str, first_offset: int) -> Reign:
    return Reign(
        Epoch(epoch), HistoryId(history_id), "node", Offset(first_offset), 0, "start"
    )


def history(*reigns: tuple[int, str, int]) -> EpochHistory:
    return EpochHistory(tuple(reign(*parts) for parts in reigns))


OURS = history((1, "a", 1), (2, "b", 10), (4, "d", 30))


@given(naturals, naturals, st.text(alphabet="0123456789abcdef", max_size=32))
def test_a_printed_position_is_read_back(
    epoch: int, offset: int, history_id: str
) -> None:
    position = Position(Epoch(epoch), Offset(offset), HistoryId(history_id))
    assert Position.parse(str(position)) == position


def test_a_position_prints_as_epoch_offset_and_history() -> None:
    position = Position(Epoch(3), Offset(120), HistoryId("9f86d081"))
    assert str(position) == f"{position}" == "3:120@9f86d081"


@pytest.mark.parametrize("text", ["", "3", "3:", ":3", "a:3", "3:b@c", "-1:3", "1.5:2"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a position like 3:120@9f86d081"):
        Position.parse(text)


@pytest.mark.parametrize("number", [-1, 1 << 63])
def test_a_number_that_no_log_can_hold_is_not_decoded(number: int) -> None:
    encoded = msgspec.msgpack.encode([number, 1, "h"])
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(encoded, type=Position)


def test_an_empty_history_stands_at_the_origin() -> None:
    empty = EpochHistory()
    assert (empty.epoch, empty.history_id) == (0, "")
    assert empty.position_at(NO_OFFSET) == ORIGIN
    assert empty.reign_at(Offset(5)) is None


def test_the_last_reign_gives_the_epoch() -> None:
    assert (OURS.epoch, OURS.history_id) == (4, "d")


def test_a_new_reign_stands_at_the_end() -> None:
    longer = OURS.begun(reign(5, "e", 31))
    assert longer.reigns[:-1] == OURS.reigns
    assert longer.epoch == 5


def test_a_reign_cannot_begin_before_the_one_before_it() -> None:
    with pytest.raises(AssertionError, match="begins after"):
        OURS.begun(reign(5, "e", 30))


def test_every_history_takes_its_first_reign() -> None:
    assert EpochHistory().begun(reign(1, "a", 1)).epoch == 1


def test_an_offset_belongs_to_the_reign_it_was_written_in() -> None:
    assert OURS.position_at(Offset(9)) == Position(Epoch(1), Offset(9), HistoryId("a"))
    assert OURS.position_at(Offset(10)) == Position(
        Epoch(2), Offset(10), HistoryId("b")
    )
    assert OURS.position_at(Offset(99)).epoch == 4


def test_a_cut_log_forgets_the_reigns_behind_the_cut() -> None:
    assert OURS.truncated_after(Offset(30)) == OURS
    assert OURS.truncated_after(Offset(29)) == history((1, "a", 1), (2, "b", 10))
    assert OURS.truncated_after(NO_OFFSET) == EpochHistory()


def test_equal_histories_part_at_the_shorter_end() -> None:
    assert OURS.fork_offset(OURS, own_end=Offset(40), other_end=Offset(35)) == 35


def test_histories_part_where_the_last_shared_reign_ends_first() -> None:
    theirs = history((1, "a", 1), (2, "b", 10), (3, "c", 20))
    fork = OURS.fork_offset(theirs, own_end=Offset(40), other_end=Offset(50))
    assert fork == 19


def test_two_masters_of_one_epoch_part_before_it() -> None:
    ours = history((1, "a", 1), (2, "mine", 10))
    theirs = history((1, "a", 1), (2, "theirs", 12))
    assert ours.fork_offset(theirs, own_end=Offset(40), other_end=Offset(40)) == 9


def test_strangers_share_nothing() -> None:
    theirs = history((1, "x", 1))
    assert OURS.fork_offset(theirs, own_end=Offset(40), other_end=Offset(40)) == 0


@given(st.data())
def test_the_fork_is_the_same_from_either_side(data: st.DataObject) -> None:
    ours, ours_end = data.draw(_histories("ab"))
    theirs, theirs_end = data.draw(_histories("ab"))
    assert ours.fork_offset(
        theirs, own_end=ours_end, other_end=theirs_end
    ) == theirs.fork_offset(ours, own_end=theirs_end, other_end=ours_end)


@st.composite
def _histories(draw: st.DrawFn, branches: str) -> tuple[EpochHistory, Offset]:
    """A shared trunk of three reigns, then reigns of a branch of its own."""
    trunk = [(1, "t1", 1), (2, "t2", 5), (3, "t3", 9)][: draw(st.integers(1, 3))]
    branch = draw(st.sampled_from(branches))
    first = trunk[-1][2]
    for number in range(draw(st.integers(0, 3))):
        first += draw(st.integers(1, 5))
        trunk.append((10 + number, f"{branch}{len(trunk)}{first}", first))
    return history(*trunk), Offset(first + draw(st.integers(0, 5)))


def test_an_imported_database_over_which_nobody_has_reigned_is_told_apart() -> None:
    imported = Reign(Epoch(1), HistoryId("i"), "", Offset(1), 0, "import")
    first = Reign(Epoch(2), HistoryId("a"), "a", Offset(2), 0, "failover")
    assert EpochHistory((imported,)).is_import
    assert not EpochHistory((imported, first)).is_import
    assert not EpochHistory().is_import


def test_the_mode_is_that_of_the_latest_reign_that_names_one() -> None:
    first = Reign(Epoch(1), HistoryId("a"), "a", Offset(1), 0, "start", "sync")
    unsaid = Reign(Epoch(2), HistoryId("b"), "b", Offset(2), 0, "failover")

    assert EpochHistory((first, unsaid)).mode == "sync"
    assert EpochHistory((unsaid,)).mode == ""


def test_the_first_election_replaced_no_master_and_is_no_failover() -> None:
    elected = [
        Reign(Epoch(n), HistoryId(f"h{n}"), "a", Offset(n), 0, "failover")
        for n in (1, 2, 3)
    ]

    assert EpochHistory(tuple(elected)).failovers == 2
    assert EpochHistory(tuple(elected)).count("failover") == 3
    assert EpochHistory().failovers == 0
    imported = msgspec.structs.replace(elected[0], why="import")
    assert EpochHistory((imported, elected[1])).failovers == 0
