from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.protocol.messages import RequestSnapshot
from nexus.replication.effects import Peer, Report, SendSnapshot
from nexus.replication.settings import LogExtent, MasterSettings
from nexus.replication.streaming.progress import Progress
from nexus.replication.streaming.transfers import FullSyncs, Pins, Transfers
from replication.examples import hello

LOG = LogExtent(Offset(11), Offset(90))
B, C, D = NodeId("b"), NodeId("c"), NodeId("d")


def wish(name: str) -> SendSnapshot:
    return SendSnapshot(Peer(name), "", 0)


def replica(name: str) -> Progress:
    progress = Progress(NodeId(name))
    progress.connected(Peer(name), hello(node_id=name), 0)
    return progress


def at(offset: int) -> Position:
    return Position(Epoch(1), Offset(offset), HistoryId("a1"))


def test_those_who_come_too_many_wait_in_order() -> None:
    transfers = Transfers(1)

    assert transfers.request(wish("b")) == wish("b")
    assert transfers.request(wish("c")) is None
    assert transfers.request(wish("d")) is None
    assert transfers.ended(Peer("b")) == wish("c")
    assert transfers.ended(Peer("c")) == wish("d")
    assert transfers.ended(Peer("d")) is None


def test_who_asks_twice_is_sent_one_snapshot() -> None:
    transfers = Transfers(1)
    transfers.request(wish("b"))
    transfers.request(wish("c"))

    assert transfers.request(wish("b")) is None
    assert transfers.request(wish("c")) is None
    assert transfers.ended(Peer("b")) == wish("c")
    assert transfers.ended(Peer("c")) is None


def test_who_leaves_the_queue_starts_nothing() -> None:
    transfers = Transfers(1)
    transfers.request(wish("b"))
    transfers.request(wish("c"))

    assert transfers.ended(Peer("c")) is None
    assert transfers.is_running(Peer("b"))
    assert transfers.ended(Peer("b")) is None


def test_a_pin_lasts_until_its_replica_has_caught_up() -> None:
    pins = Pins()
    pins.hold(B, Offset(10), 0, anew=True)
    pins.acknowledged(B, Offset(99))
    assert pins.floor(Offset(100)) == 11

    pins.raise_to(B, Offset(50))
    assert pins.floor(Offset(100)) == 51
    pins.streams(B, Offset(80))
    pins.acknowledged(B, Offset(60))
    assert pins.floor(Offset(100)) == 61
    pins.acknowledged(B, Offset(80))
    assert pins.floor(Offset(100)) == 100


def test_a_replica_without_a_pin_pins_nothing() -> None:
    pins = Pins()
    pins.raise_to(B, Offset(1))
    pins.streams(B, Offset(1))
    pins.acknowledged(B, Offset(1))

    assert pins.floor(Offset(7)) == 7


def test_a_resumed_transfer_keeps_its_pin_and_gets_no_more_time() -> None:
    pins = Pins()
    settings = MasterSettings(pin_ms=1_000)
    pins.hold(B, Offset(10), 0, anew=True)

    pins.hold(B, Offset(40), 900, anew=False)

    assert pins.floor(Offset(100)) == 11
    assert pins.drop_expired(Offset(90), 1_001, settings) == (B,)


def test_pins_have_a_cap_in_entries_and_in_time() -> None:
    pins = Pins()
    settings = MasterSettings(pin_entries=50, pin_ms=1_000)
    pins.hold(B, Offset(10), 500, anew=True)
    pins.hold(C, Offset(60), 0, anew=True)
    pins.hold(D, Offset(60), 500, anew=False)

    assert pins.drop_expired(Offset(60), 1_000, settings) == ()
    assert pins.drop_expired(Offset(61), 1_000, settings) == (B,)
    assert pins.drop_expired(Offset(61), 1_001, settings) == (C,)
    assert pins.floor(Offset(99)) == 61


def test_the_log_keeps_everything_until_the_snapshot_is_chosen() -> None:
    syncs = FullSyncs(MasterSettings(max_transfers=1))
    progress = replica("b")

    effects = syncs.wanted(progress, RequestSnapshot(B, "s7", 3), LOG, 0)
    before = syncs.retention_floor(Offset(91))
    (report,) = syncs.started(progress, at(70))

    assert effects == (SendSnapshot(Peer("b"), "s7", 3),)
    assert before == 11
    assert syncs.retention_floor(Offset(91)) == 71
    assert isinstance(report, Report)


def test_the_next_in_the_queue_starts_when_one_is_sent() -> None:
    syncs = FullSyncs(MasterSettings(max_transfers=1))
    syncs.wanted(replica("b"), RequestSnapshot(B), LOG, 0)
    (queued,) = syncs.wanted(replica("c"), RequestSnapshot(C), LOG, 0)

    assert isinstance(queued, Report)
    assert syncs.sent(Peer("b")) == (wish("c"),)
    assert syncs.sent(Peer("x")) == ()
    assert syncs.completed == 1


def test_a_replica_that_streams_again_frees_what_was_kept() -> None:
    syncs = FullSyncs(MasterSettings())
    progress = replica("b")
    syncs.wanted(progress, RequestSnapshot(B), LOG, 0)
    syncs.started(progress, at(70))
    progress.streams_from(Offset(70), Offset(70))

    syncs.streams(progress, Offset(90))
    assert syncs.retention_floor(Offset(91)) == 71
    progress.acknowledged(Offset(90), Offset(0), 0)
    syncs.acknowledged(progress)
    assert syncs.retention_floor(Offset(91)) == 91


def test_a_dropped_pin_is_an_event_that_names_the_replica() -> None:
    syncs = FullSyncs(MasterSettings(pin_ms=1_000))
    syncs.wanted(replica("b"), RequestSnapshot(B), LOG, 0)

    (report,) = syncs.drop_expired(Offset(90), 2_000)

    assert isinstance(report, Report)
    assert report.event == "pin_dropped"
    assert "full sync of b" in report.detail
