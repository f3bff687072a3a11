import pytest

from nexus.errors import ProtocolError
from nexus.model.position import EpochHistory, Offset
from nexus.protocol.messages import WalEntry
from nexus.replication.following.incoming import Incoming
from nexus.replication.settings import RecoveredState
from replication.examples import ONE_REIGN, TWO_REIGNS, entry, history, welcome


def log(end: int = 0, of: EpochHistory = TWO_REIGNS) -> Incoming:
    """Matched with a master whose log is `of`, up to 20."""
    incoming = Incoming(RecoveredState(history=of, durable_offset=Offset(end)))
    incoming.met(welcome(end, 20, of, commit_offset=Offset(0)), 0)
    incoming.matched(of)
    return incoming


def entries(first: int, last: int, of: EpochHistory = TWO_REIGNS) -> list[WalEntry]:
    return [entry(offset, of=of) for offset in range(first, last + 1)]


def test_entries_in_order_become_records_across_reigns() -> None:
    incoming = log(8)

    records = incoming.take(entries(9, 13), 0)

    assert [(one.epoch, one.offset) for one in records] == [
        (1, 9),
        (1, 10),
        (2, 11),
        (2, 12),
        (2, 13),
    ]
    assert records[0].payload == b"entry 9"
    assert str(incoming.position) == "2:13@b2"
    assert incoming.entries_received == 5


def test_the_history_shows_no_reign_whose_entries_have_not_come() -> None:
    incoming = log(10)

    assert incoming.history == ONE_REIGN
    incoming.take(entries(11, 11), 0)
    assert incoming.history == TWO_REIGNS


def test_a_delayed_log_knows_after_a_restart_when_its_entries_were_written() -> None:
    written = ((Offset(1), 1_000_000), (Offset(2), 2_000_000))
    recovered = RecoveredState(
        history=ONE_REIGN, durable_offset=Offset(2), written=written
    )

    incoming = Incoming(recovered, 500)
    incoming.met(welcome(2, 2, ONE_REIGN), 0)
    incoming.matched(ONE_REIGN)

    assert incoming.delay.ripe(Offset(2), 10) == 0
    assert incoming.delay.ripe(Offset(2), 510) == 1


def test_entries_that_came_before_are_not_stored_twice() -> None:
    incoming = log(8)
    incoming.take(entries(9, 12), 0)

    assert [one.offset for one in incoming.take(entries(10, 14), 0)] == [13, 14]
    assert incoming.take(entries(9, 9), 0) == []


def wrong_reign(offset: int) -> WalEntry:
    return entry(offset, of=history((1, "z1", 1)))


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([*entries(9, 10), *entries(12, 12)], "entry 12 came where 11 was expected"),
        ([wrong_reign(9)], "entry 1:9@z1 came, the history has 1:9@a1"),
        ([wrong_reign(3)], "entry 1:3@z1 came"),
        ([*entries(9, 10), entry(11, of=ONE_REIGN)], "the history has 2:11@b2"),
    ],
)
def test_what_does_not_follow_changes_nothing(
    batch: list[WalEntry], words: str
) -> None:
    incoming = log(8)

    with pytest.raises(ProtocolError, match=words):
        incoming.take(batch, 0)
    assert incoming.received == 8


def test_nothing_is_taken_before_a_master_has_matched_the_log() -> None:
    incoming = Incoming(RecoveredState())

    with pytest.raises(ProtocolError):
        incoming.take(entries(1, 1), 0)


def test_the_commit_offset_is_the_least_of_what_was_said_and_matched() -> None:
    incoming = log(8)
    incoming.told(Offset(20), Offset(15), 0)
    assert (incoming.commit, incoming.to_apply(0)) == (8, 8)

    incoming.take([entry(9, commit=15, of=TWO_REIGNS)], 0)
    assert (incoming.commit, incoming.to_apply(0)) == (9, 8)

    incoming.durable = Offset(9)
    assert incoming.to_apply(0) == 9


def test_an_unmatched_log_commits_nothing() -> None:
    incoming = log(8)
    incoming.told(Offset(20), Offset(15), 0)

    incoming.unmatched()

    assert incoming.commit == 0


def test_what_an_earlier_master_said_does_not_commit_a_new_masters_entries() -> None:
    incoming = log(8)
    incoming.told(Offset(20), Offset(15), 0)

    incoming.met(welcome(8, 9, commit_offset=Offset(8)), 0)
    incoming.matched(TWO_REIGNS)
    incoming.take([entry(9, commit=8, of=TWO_REIGNS)], 0)

    assert incoming.commit == 8


def test_lag_counts_what_the_master_has_and_since_when() -> None:
    incoming = log(8)
    incoming.has_applied(Offset(8))
    assert incoming.lag(700) == 12
    assert incoming.lag_ms(700) == 700

    incoming.take(entries(9, 20), 1_000)
    incoming.durable = Offset(20)
    incoming.has_applied(Offset(20))
    incoming.has_applied(Offset(19))

    assert (incoming.lag(700), incoming.lag_ms(9_000)) == (0, 0)
    assert incoming.entries_applied == 20


def test_nothing_is_applied_that_is_not_durable() -> None:
    with pytest.raises(AssertionError, match="only 8 is durable"):
        log(8).has_applied(Offset(9))


def test_after_a_full_sync_the_log_goes_on_from_the_snapshot() -> None:
    incoming = log(8)

    incoming.replaced(ONE_REIGN, ONE_REIGN.position_at(Offset(5)))

    assert (incoming.received, incoming.durable, incoming.applied) == (5, 5, 5)
    assert incoming.history == ONE_REIGN
    assert incoming.commit == 0
