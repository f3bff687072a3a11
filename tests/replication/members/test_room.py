"""A witness's log has a cap (hard-case 11)."""

from nexus.replication.effects import Level, Report
from nexus.replication.members.room import Room


def test_without_a_cap_there_is_always_room() -> None:
    room = Room(0)

    assert room.sized(1 << 60) == ()
    assert not room.is_full


def test_the_cap_is_told_once_and_so_is_its_end() -> None:
    room = Room(80)

    (full,) = room.sized(80)
    again = room.sized(90)
    nearly = room.sized(71)
    was_full = room.is_full
    (roomy,) = room.sized(70)

    assert isinstance(full, Report)
    assert (full.level, full.event) == (Level.ERROR, "witness_full")
    assert "80 bytes" in full.detail
    assert again == nearly == ()
    assert was_full
    assert isinstance(roomy, Report)
    assert (roomy.level, roomy.event) == (Level.INFO, "witness_roomy")
    assert not room.is_full


def test_a_cap_that_is_lifted_is_reached_all_the_same() -> None:
    room = Room(80)
    room.sized(80)

    room.lifted(lifted=True)
    lifted = room.is_full
    room.lifted(lifted=False)

    assert not lifted
    assert room.is_full
    assert "until that voter has returned" in room.complaint


def test_it_is_told_in_time_that_the_cap_comes_near_and_again_after_a_rest() -> None:
    room = Room(80)
    assert room.sized(60) == ()

    (told,) = room.sized(61)
    again = room.sized(79)
    room.sized(40)
    (anew,) = room.sized(70)

    assert isinstance(told, Report)
    assert (told.level, told.event) == (Level.WARNING, "witness_fills")
    assert again == ()
    assert isinstance(anew, Report)
    assert anew.event == "witness_fills"
    assert not room.is_full
