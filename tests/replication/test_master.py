from typing import Any

import msgspec
import pytest

from nexus.errors import NotFoundError
from nexus.model.cluster import LinkState, NodeId
from nexus.model.position import Epoch, EpochHistory, Offset
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Ping,
    Plan,
    Pong,
    RequestSnapshot,
    SnapshotComplete,
    WalAck,
    Welcome,
)
from nexus.replication.effects import (
    Close,
    CommitAdvanced,
    Effects,
    Peer,
    Report,
    Send,
    SendSnapshot,
    StepDown,
    StopWrites,
    Stream,
)
from nexus.replication.master import Master
from nexus.replication.settings import LogExtent, MasterSettings
from replication.examples import (
    MASTER_NODE,
    ONE_REIGN,
    PEER,
    TWO_REIGNS,
    entry,
    hello,
    history,
)

SETTINGS = MasterSettings(heartbeat_ms=1_000, max_replicas=2, max_transfers=1)


def master(durable: int = 20, first: int = 5, of: EpochHistory = TWO_REIGNS) -> Master:
    extent = LogExtent(Offset(first), Offset(durable))
    return Master(MASTER_NODE, SETTINGS, of, extent, 0)


def streaming(durable: int = 20) -> Master:
    """With replica b, that has everything."""
    found = master(durable)
    found.hello(PEER, hello(durable, TWO_REIGNS), 0)
    return found


def names(effects: Effects) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def closed(effects: Effects) -> Close:
    (close,) = effects
    assert isinstance(close, Close)
    return close


def test_a_replica_is_welcomed_and_sent_what_it_lacks() -> None:
    send, stream = master().hello(PEER, hello(15, TWO_REIGNS), 0)

    assert isinstance(send, Send)
    assert isinstance(send.message, Welcome)
    assert send.message.plan is Plan.STREAM
    assert send.message.from_offset == 15
    assert (send.message.current_offset, send.message.commit_offset) == (20, 20)
    assert send.message.history == TWO_REIGNS
    assert send.message.heartbeat_ms == 1_000
    assert stream == Stream(PEER, Offset(16), Offset(21), Offset(20))


def test_a_replica_that_cannot_stream_is_told_to_sync_and_sent_nothing() -> None:
    found = master()

    (send,) = found.hello(PEER, hello(2), 0)

    assert isinstance(send, Send)
    assert isinstance(send.message, Welcome)
    assert (send.message.plan, send.message.from_offset) == (Plan.FULL_SYNC, 2)
    assert found.stored(Offset(21), 0) == (CommitAdvanced(Offset(21)),)
    assert found.receive(PEER, WalAck(Offset(99), Offset(99)), 0) == ()


def test_a_replica_that_has_left_our_history_is_told_where_and_awaited() -> None:
    found = master()

    (send,) = found.hello(PEER, hello(15), 0)
    assert found.replicas(0)[0].state is LinkState.REWINDING
    (stream,) = found.receive(PEER, WalAck(Offset(10), Offset(10)), 0)

    assert isinstance(send, Send)
    assert isinstance(send.message, Welcome)
    assert (send.message.plan, send.message.from_offset) == (Plan.REWIND, 10)
    assert stream == Stream(PEER, Offset(11), Offset(21), Offset(20))


def test_a_replica_that_did_not_go_back_far_enough_is_sent_away() -> None:
    found = master()
    found.hello(PEER, hello(15), 0)

    close = closed(found.receive(PEER, WalAck(Offset(12), Offset(12)), 0))

    assert close.code is ErrorCode.MALFORMED
    assert "take back what it has after 10" in close.message


def test_a_rewind_frees_what_a_full_sync_before_it_held() -> None:
    found = master()
    found.hello(PEER, hello(15), 0)
    found.receive(PEER, RequestSnapshot(NodeId("b")), 0)
    found.disconnected(PEER, 0)
    assert found.retention_floor() == 5

    found.hello(Peer("b#2"), hello(15), 0)
    found.receive(Peer("b#2"), WalAck(Offset(10), Offset(10)), 0)
    found.receive(Peer("b#2"), WalAck(Offset(20), Offset(20)), 0)

    assert found.retention_floor() == 21


@pytest.mark.parametrize("code", [ErrorCode.CLUSTER, ErrorCode.VERSION])
def test_who_does_not_belong_here_is_counted_and_told(code: ErrorCode) -> None:
    found = master()
    said = {
        ErrorCode.CLUSTER: hello(cluster_id="other"),
        ErrorCode.VERSION: hello(protocol_least=9, protocol_most=9),
    }[code]

    close = closed(found.hello(PEER, said, 0))

    assert (close.code, close.epoch, close.master_addr) == (code, 2, "a:1")
    assert found.stats(0).rejected_connections == 1
    assert found.replicas(0) == ()


def test_a_higher_epoch_deposes_the_master_before_anything_else() -> None:
    found = streaming()

    effects = found.hello(Peer("x"), hello(5, epoch=Epoch(7), master_addr="c:1"), 0)

    order, farewell, close = effects
    assert order == found.deposed
    assert isinstance(order, StepDown)
    assert (order.epoch, order.master_addr) == (7, "c:1")
    assert isinstance(farewell, Close)
    assert isinstance(close, Close)
    assert (farewell.peer, farewell.code) == (PEER, ErrorCode.DEPOSED)
    assert (close.peer, close.epoch, close.master_addr) == (Peer("x"), 7, "c:1")


def test_an_epoch_whose_master_now_follows_this_one_is_vacant() -> None:
    found = streaming()
    left = history((1, "a1", 1), (7, "b7", 5))
    said = hello(5, left, master_addr="a:1")

    order, farewell, close = found.hello(Peer("x"), said, 0)

    assert isinstance(order, StepDown)
    assert (order.epoch, order.master_addr, order.vacant) == (7, "", True)
    assert isinstance(farewell, Close)
    assert isinstance(close, Close)
    assert "begins a higher one" in close.message


@pytest.mark.parametrize(
    "said",
    [
        hello(5, history((1, "a1", 1), (7, "b7", 5)), master_addr="b:1"),
        hello(5, history((1, "a1", 1), (7, "c7", 5))),
        hello(5, history((1, "a1", 1), (7, "b7", 5)), epoch=Epoch(8)),
    ],
    ids=["it reigns there", "it followed another there", "it was deposed there"],
)
def test_an_epoch_in_which_somebody_may_reign_is_not_vacant(said: Hello) -> None:
    order, *_ = streaming().hello(Peer("x"), said, 0)

    assert isinstance(order, StepDown)
    assert not order.vacant


def test_a_deposed_master_does_nothing_but_point_to_the_new_one() -> None:
    found = streaming()
    found.hello(Peer("x"), hello(5, epoch=Epoch(7), master_addr="c:1"), 0)

    close = closed(found.hello(Peer("y"), hello(), 0))

    assert (close.code, close.master_addr) == (ErrorCode.NOT_MASTER, "c:1")
    assert found.stored(Offset(21), 0) == ()
    assert found.tick(99_999) == ()
    assert found.receive(PEER, WalAck(Offset(20), Offset(20)), 0) == ()


def test_two_masters_of_one_epoch_stop_the_writes() -> None:
    said = hello(5, epoch=Epoch(2), master_addr="b:1")

    stop, close = master().hello(PEER, said, 0)

    assert isinstance(stop, StopWrites)
    assert isinstance(close, Close)
    assert close.code is ErrorCode.SPLIT


def test_a_replica_that_connects_anew_replaces_its_old_connection() -> None:
    found = streaming()

    old, send = found.hello(Peer("b#2"), hello(20, TWO_REIGNS), 0)

    assert isinstance(old, Close)
    assert (old.peer, old.code) == (PEER, ErrorCode.BUSY)
    assert isinstance(send, Send)
    assert found.disconnected(PEER, 0) == ()
    assert found.stats(0).connected_replicas == 1


def test_two_nodes_of_one_id_are_told_that_one_is_a_copy() -> None:
    found = streaming()
    twin = msgspec.structs.replace(hello(20, TWO_REIGNS), address="10.0.0.9:15475")

    close = found.hello(Peer("b#2"), twin, 0)[0]

    assert isinstance(close, Close)
    assert "at 10.0.0.9:15475 and not at" in close.message
    assert "start it with an empty directory" in close.message


def test_there_is_room_for_so_many_replicas() -> None:
    found = streaming()
    found.hello(Peer("c#1"), hello(node_id="c"), 0)

    close = closed(found.hello(Peer("d#1"), hello(node_id="d"), 0))

    assert close.code is ErrorCode.BUSY
    assert "2 replicas" in close.message


def test_entries_follow_as_acks_and_the_log_move_on() -> None:
    found = streaming()

    stored = found.stored(Offset(22), 0)
    assert names(stored) == ["CommitAdvanced", "Stream"]
    assert found.stored(Offset(23), 0) == (CommitAdvanced(Offset(23)),)
    assert found.streamed(PEER, Offset(23), 80, 0) == (
        Stream(PEER, Offset(23), Offset(24), Offset(23)),
    )
    assert found.streamed(PEER, Offset(24), 40, 0) == ()
    assert found.durable_on(Offset(23)) == 1
    found.receive(PEER, WalAck(Offset(23), Offset(22)), 0)
    assert found.durable_on(Offset(23)) == 2
    (row,) = found.replicas(0)
    assert (row.last_ack_offset, row.applied_offset, row.lag) == (23, 22, 1)
    assert found.stats(0).bytes_sent == 120


def test_news_of_a_connection_that_is_gone_changes_nothing() -> None:
    found = streaming()
    found.disconnected(PEER, 0)

    assert found.disconnected(PEER, 0) == ()
    assert found.streamed(PEER, Offset(21), 9, 0) == ()
    assert found.receive(PEER, Pong(0), 0) == ()
    assert found.log_gap(PEER, Offset(6), 0) == ()
    assert found.snapshot_sent(PEER) == ()
    position = TWO_REIGNS.position_at(Offset(20))
    assert found.snapshot_started(PEER, position) == ()
    assert found.replicas(0)[0].state is LinkState.RECONNECTING


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (WalAck(Offset(21), Offset(0)), "sent none after 20"),
        (Pong(0, Offset(20), Offset(21)), "applied entry 21"),
        (entry(21), "never sends WalEntry"),
        (hello(), "never sends Hello"),
    ],
)
def test_a_peer_that_lies_is_cut_off(message: Any, words: str) -> None:
    found = streaming()

    close = closed(found.receive(PEER, message, 0))

    assert close.code is ErrorCode.MALFORMED
    assert words in close.message


def test_an_entry_that_does_not_fit_there_is_reported_and_streaming_ends() -> None:
    found = streaming()

    (report,) = found.receive(PEER, WalAck(Offset(20), Offset(7), success=False), 0)

    assert isinstance(report, Report)
    assert "cannot apply entry 8" in report.detail
    assert names(found.stored(Offset(21), 0)) == ["CommitAdvanced"]


def test_a_replicas_ping_is_answered_and_a_higher_epoch_in_it_obeyed() -> None:
    found = streaming()

    (pong,) = found.receive(PEER, Ping(77), 0)
    order, *_ = found.receive(PEER, Ping(78, epoch=Epoch(3)), 0)

    assert pong == Send(PEER, Pong(77, Offset(20), Offset(20)))
    assert isinstance(order, StepDown)
    assert order.epoch == 3


def test_what_a_replica_says_at_the_end_is_reported() -> None:
    found = streaming()

    installed = found.receive(PEER, SnapshotComplete("s7", success=True), 0)
    failed = found.receive(PEER, SnapshotComplete("s7", success=False), 0)
    error = found.receive(PEER, Error("stopping", "bye"), 0)

    assert "has installed snapshot s7" in str(installed)
    assert "could not install" in str(failed)
    assert "stopping: bye" in str(error)
    assert found.stats(0).connected_replicas == 0


def test_a_silent_replica_is_given_up_after_three_heartbeats() -> None:
    found = streaming()
    assert names(found.tick(1_000)) == ["Send"]
    found.receive(PEER, Pong(1_000, Offset(20), Offset(20)), 1_010)

    assert names(found.tick(4_000)) == ["Send"]
    close = closed(found.tick(4_011))

    assert "3001 ms" in close.message
    assert found.tick(9_000) == ()


def test_a_log_that_lost_the_entries_to_send_makes_the_replica_start_anew() -> None:
    found = streaming()

    close = closed(found.log_gap(PEER, Offset(30), 0))

    assert "begins at entry 30" in close.message
    (send,) = found.hello(Peer("b#2"), hello(20, TWO_REIGNS), 0)
    assert isinstance(send, Send)
    assert isinstance(send.message, Welcome)
    assert send.message.plan is Plan.FULL_SYNC


def test_a_snapshot_holds_the_log_until_its_replica_has_caught_up() -> None:
    found = master()
    found.hello(PEER, hello(2), 0)
    assert found.retention_floor() == 21

    order = found.receive(PEER, RequestSnapshot(NodeId("b")), 0)
    assert order == (SendSnapshot(PEER, "", 0, at_least=Offset(2)),)
    assert found.retention_floor() == 5
    found.snapshot_started(PEER, TWO_REIGNS.position_at(Offset(12)))
    assert found.retention_floor() == 13
    found.snapshot_sent(PEER)
    found.disconnected(PEER, 0)
    assert found.retention_floor() == 13

    effects = found.hello(Peer("b#2"), hello(12, TWO_REIGNS), 0)
    assert names(effects) == ["Send", "Stream"]
    found.receive(Peer("b#2"), WalAck(Offset(20), Offset(12)), 0)
    assert found.retention_floor() == 21
    assert found.stats(0).snapshot_transfers == 1


def test_a_snapshot_that_cannot_be_made_closes_and_frees_its_place() -> None:
    found = master()
    found.hello(PEER, hello(2), 0)
    found.hello(Peer("c#1"), hello(2, node_id="c"), 0)
    found.receive(PEER, RequestSnapshot(NodeId("b")), 0)
    assert names(found.receive(Peer("c#1"), RequestSnapshot(NodeId("c")), 0)) == [
        "Report"
    ]

    report, close, following = found.snapshot_failed(PEER, "disk full", 0)

    assert isinstance(report, Report)
    assert isinstance(close, Close)
    assert close.message == "disk full"
    assert following == SendSnapshot(Peer("c#1"), "", 0, at_least=Offset(2))


def test_an_expired_pin_is_reported_by_the_clock() -> None:
    found = master()
    found.hello(PEER, hello(2), 0)
    found.receive(PEER, RequestSnapshot(NodeId("b")), 0)
    found.disconnected(PEER, 0)

    (report,) = found.tick(3_600_001)

    assert isinstance(report, Report)
    assert report.event == "pin_dropped"
    assert found.retention_floor() == 21


def test_pause_stops_entries_not_heartbeats_and_resume_sends_the_rest() -> None:
    found = streaming()

    found.pause(NodeId("b"))
    assert not found.paused
    assert names(found.stored(Offset(22), 0)) == ["CommitAdvanced"]
    assert names(found.tick(1_000)) == ["Send"]
    assert found.replicas(0)[0].state is LinkState.PAUSED
    assert names(found.resume(NodeId("b"), 0)) == ["Report", "Stream"]
    with pytest.raises(NotFoundError):
        found.pause(NodeId("z"))


def test_pause_of_all_is_known_until_all_are_resumed() -> None:
    found = streaming()

    before = found.paused
    found.pause()
    during = found.paused
    found.resume(None, 0)

    assert [before, during, found.paused] == [False, True, False]


def test_a_master_announces_its_reign_and_commits_nothing_it_has_not_stored() -> None:
    found = master(durable=10)

    said = found.announcement()

    assert (said.master_addr, said.epoch) == ("a:1", 2)
    assert str(said.position) == "1:10@a1"
    assert found.commit_offset == 10
    assert found.history == TWO_REIGNS


def test_a_log_does_not_become_shorter_under_a_reign() -> None:
    with pytest.raises(AssertionError):
        master(of=ONE_REIGN).stored(Offset(19), 0)


def test_a_master_knows_how_many_nodes_it_needs_and_how_many_are_there() -> None:
    found = streaming()

    assert found.quorum == 1
    assert found.nodes_in_reach(0) == 2
    assert found.nodes_in_reach(1_000_000) == 1
