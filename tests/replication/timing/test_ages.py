from nexus.model.position import Offset
from nexus.replication.timing.ages import MARKS_MOST, EntryAges


def test_lag_is_the_age_of_the_oldest_entry_not_applied() -> None:
    ages = EntryAges()
    ages.note(Offset(10), 1_000)
    ages.note(Offset(20), 2_000)

    assert ages.age_ms(Offset(9), 5_000) == 4_000
    assert ages.age_ms(Offset(10), 5_000) == 3_000
    assert ages.age_ms(Offset(20), 5_000) == 0


def test_nothing_known_of_is_no_lag() -> None:
    ages = EntryAges()
    ages.forget_through(Offset(5))
    ages.forget_after(Offset(5))

    assert ages.age_ms(Offset(0), 1_000) == 0


def test_an_offset_known_before_does_not_become_younger() -> None:
    ages = EntryAges()
    ages.note(Offset(10), 1_000)
    ages.forget_through(Offset(10))

    ages.note(Offset(10), 9_000)

    assert ages.age_ms(Offset(9), 9_000) == 8_000


def test_growth_in_one_moment_is_one_mark() -> None:
    ages = EntryAges()
    ages.note(Offset(1), 1_000)
    ages.note(Offset(2), 1_000)

    assert ages.age_ms(Offset(1), 1_500) == 500


def test_what_everybody_has_applied_is_forgotten() -> None:
    ages = EntryAges()
    ages.note(Offset(10), 1_000)
    ages.note(Offset(20), 2_000)
    ages.note(Offset(30), 3_000)

    ages.forget_through(Offset(20))

    assert ages.age_ms(Offset(20), 4_000) == 1_000
    assert len(ages._offsets) == 1


def test_entries_that_another_master_never_had_do_not_age() -> None:
    ages = EntryAges()
    ages.note(Offset(10), 1_000)
    ages.note(Offset(20), 2_000)

    ages.forget_after(Offset(15))
    ages.note(Offset(16), 9_000)

    assert ages.age_ms(Offset(15), 9_500) == 500
    assert ages.age_ms(Offset(10), 9_500) == 7_500


def test_memory_is_bounded_while_a_replica_is_away_for_long() -> None:
    ages = EntryAges()
    for moment in range(1, 100_000):
        ages.note(Offset(moment), moment)

    assert len(ages._offsets) <= MARKS_MOST
    assert abs(ages.age_ms(Offset(50_000), 100_000) - 50_000) < 200


def test_how_far_the_log_was_known_to_reach_at_a_time() -> None:
    ages = EntryAges()
    assert ages.known_at(100) == 0
    ages.note(Offset(5), 10)
    ages.note(Offset(9), 20)

    assert [ages.known_at(time_ms) for time_ms in (9, 10, 19, 20)] == [0, 5, 5, 9]
