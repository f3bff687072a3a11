import pytest

from nexus.model.cluster import LinkState, NodeId
from nexus.model.position import Offset
from nexus.replication.effects import Stream
from nexus.replication.streaming.progress import Progress
from nexus.replication.timing.ages import EntryAges
from replication.examples import PEER, hello

WINDOW = 10
DEAD_AFTER_MS = 3_000


def streaming(from_offset: int = 0, commit: int = 0) -> Progress:
    progress = Progress(NodeId("b"))
    progress.connected(PEER, hello(), 1_000)
    progress.streams_from(Offset(from_offset), Offset(commit))
    return progress


def next_stream(progress: Progress, durable: int) -> Stream | None:
    return progress.next_stream(Offset(durable), Offset(durable), WINDOW)


def test_entries_go_out_up_to_the_own_durable_offset() -> None:
    progress = streaming(3)

    assert next_stream(progress, 8) == Stream(PEER, Offset(4), Offset(9), Offset(8))


def test_a_second_stream_waits_for_the_first_to_be_written() -> None:
    progress = streaming()
    next_stream(progress, 5)

    assert next_stream(progress, 9) is None
    assert progress.streamed(Offset(4), 300)
    assert next_stream(progress, 9) == Stream(PEER, Offset(4), Offset(10), Offset(9))
    assert (progress.entries_sent, progress.bytes_sent) == (3, 300)


def test_no_more_than_a_window_is_on_its_way_unacknowledged() -> None:
    progress = streaming()
    next_stream(progress, 100)
    progress.streamed(Offset(11), 0)

    assert next_stream(progress, 100) is None
    progress.acknowledged(Offset(4), Offset(0), 2_000)
    assert next_stream(progress, 100) == Stream(
        PEER, Offset(11), Offset(15), Offset(100)
    )


def test_a_report_of_more_than_was_asked_for_is_a_bug() -> None:
    progress = streaming()
    next_stream(progress, 5)

    with pytest.raises(AssertionError, match="asked for 1 to 6"):
        progress.streamed(Offset(7), 0)


def test_a_report_without_a_stream_changes_nothing() -> None:
    assert not streaming().streamed(Offset(5), 100)


def test_no_entries_go_to_a_paused_absent_or_syncing_replica() -> None:
    paused, absent, syncing = streaming(), streaming(), streaming()
    paused.paused = True
    absent.gone(2_000)
    syncing.needs_snapshot()

    assert [next_stream(one, 5) for one in (paused, absent, syncing)] == [None] * 3
    assert paused.state is LinkState.PAUSED
    assert absent.state is LinkState.RECONNECTING
    assert syncing.state is LinkState.FULL_SYNC
    assert streaming().state is LinkState.STREAMING


def test_a_rewind_ends_with_its_stream_its_connection_or_a_full_sync() -> None:
    streamed, gone, synced = streaming(), streaming(), streaming()
    for one in (streamed, gone, synced):
        one.rewinds(Offset(3))
        assert (one.state, one.acked) == (LinkState.REWINDING, 0)
        assert next_stream(one, 5) is None

    streamed.streams_from(Offset(3), Offset(0))
    gone.gone(2_000)
    synced.needs_snapshot()

    assert [one.rewinds_to for one in (streamed, gone, synced)] == [None] * 3
    assert synced.state is LinkState.FULL_SYNC


def test_an_older_ack_takes_nothing_back() -> None:
    progress = streaming()
    progress.acknowledged(Offset(7), Offset(5), 2_000)

    progress.acknowledged(Offset(6), Offset(4), 3_000)

    assert (progress.acked, progress.applied) == (7, 5)
    assert progress.moved_ms == 2_000


def test_acks_of_data_that_is_replaced_count_no_more() -> None:
    progress = streaming(5)

    progress.needs_snapshot()

    assert progress.acked == 0


def test_the_commit_offset_travels_alone_only_to_who_has_all_entries() -> None:
    behind, level, sending = streaming(3), streaming(5), streaming(4)
    next_stream(sending, 5)

    assert not behind.awaits_commit(Offset(5))
    assert level.awaits_commit(Offset(5))
    assert not sending.awaits_commit(Offset(6))


def test_silence_or_no_progress_is_bad_health() -> None:
    progress = streaming()

    def healthy(now_ms: int, durable: int, since_ms: int = 1_000) -> bool:
        ages = EntryAges()
        ages.note(Offset(durable), since_ms)
        return progress.is_healthy(now_ms, DEAD_AFTER_MS, ages)

    assert healthy(1_500, 5)
    assert not healthy(9_000, 0)
    progress.heard_ms = 9_000
    assert healthy(9_000, 0)
    assert not healthy(9_000, 5)
    assert healthy(9_000, 5, since_ms=8_999), "it had nothing to store until then"
    progress.paused = True
    assert healthy(9_000, 5)
    progress.gone(9_000)
    assert not healthy(9_000, 0)


def test_its_row_shows_lag_in_entries_and_seconds() -> None:
    progress = streaming()
    ages = EntryAges()
    ages.note(Offset(4), 2_000)
    ages.note(Offset(9), 3_000)
    progress.acknowledged(Offset(9), Offset(4), 3_500)

    row = progress.status(ages, Offset(9), 5_000, DEAD_AFTER_MS, frozenset())
    progress.gone(5_000)
    later = progress.status(ages, Offset(9), 6_000, DEAD_AFTER_MS, frozenset())

    assert (row.id, row.addr, row.http_url) == ("b", "b:1", "http://b:2")
    assert (row.lag, row.lag_seconds, row.connected_seconds) == (5, 2.0, 4.0)
    assert (row.last_ack_offset, row.applied_offset) == (9, 4)
    assert later.connected_seconds == 0
    assert later.lag == 5
