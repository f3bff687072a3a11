from nexus.model.position import NO_OFFSET, Offset
from nexus.replication.settings import LogExtent, MasterSettings


def test_three_missed_heartbeats_of_five_seconds_are_death() -> None:
    assert MasterSettings().dead_after_ms == 15_000


def test_a_new_log_is_empty_and_goes_on_with_entry_one() -> None:
    assert LogExtent() == LogExtent(Offset(1), NO_OFFSET)
