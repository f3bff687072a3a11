from nexus.api.crowd import Crowd


class Occupant:
    def __init__(self, *, idle: bool = True) -> None:
        self.is_idle = idle
        self.gone = False

    def give_way(self) -> None:
        self.gone = True


def test_the_oldest_that_waits_for_nothing_gives_way() -> None:
    crowd = Crowd(most=3)
    busy, old, young = Occupant(idle=False), Occupant(), Occupant()
    for count, occupant in enumerate((busy, old, young), 1):
        assert not crowd.enter(occupant, "a", count)

    assert not crowd.enter(Occupant(), "a", 4)

    assert [busy.gone, old.gone, young.gone] == [False, True, False]
    assert crowd.turned_away == 1


def test_a_crowd_of_one_address_keeps_no_other_out() -> None:
    crowd = Crowd(most=3)
    many, few = [Occupant() for _ in range(3)], Occupant()
    assert not crowd.enter(few, "b", 1)
    for count, occupant in enumerate(many, 2):
        assert not crowd.enter(occupant, "a", count)

    assert many[0].gone
    assert not few.gone


def test_where_nobody_can_go_the_newcomer_does() -> None:
    crowd = Crowd(most=1)
    crowd.enter(Occupant(idle=False), "a", 1)

    assert crowd.enter(Occupant(), "a", 2) == "1 connections are open"


def test_a_guest_who_stays_as_another_is_counted_once() -> None:
    crowd = Crowd(most=9, most_of_address=1)
    before, after = Occupant(), Occupant()
    crowd.enter(before, "a", 1)
    crowd.leave(before, "a")
    crowd.stay(after, "a")

    assert crowd.enter(Occupant(), "a", 2) == "1 connections of a are open"
    assert not before.gone


def test_an_address_may_have_a_limit_of_its_own() -> None:
    crowd = Crowd(most=9, most_of_address=1)
    first = Occupant()
    crowd.enter(first, "a", 1)
    assert not crowd.enter(Occupant(), "b", 2)

    second = Occupant()
    assert crowd.enter(second, "a", 3) == "1 connections of a are open"

    crowd.leave(second, "a")
    crowd.leave(first, "a")
    crowd.leave(first, "a")
    assert not crowd.enter(Occupant(), "a", 2)
