from typing import Any

import pytest
from msgspec.structs import replace

from nexus.model.cluster import LinkState
from nexus.model.position import Epoch, EpochHistory, Offset
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Ping,
    Plan,
    Pong,
    RequestSnapshot,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    VoteReply,
    WalAck,
)
from nexus.replication.effects import (
    MASTER,
    Adopt,
    Apply,
    Close,
    Connect,
    Disconnect,
    Effects,
    Level,
    Report,
    Send,
    Store,
)
from nexus.replication.following.link import SIGN_BYTES
from nexus.replication.replica import Replica
from nexus.replication.settings import RecoveredState, ReplicaSettings
from replication.examples import (
    ONE_REIGN,
    PEER,
    REPLICA_NODE,
    TWO_REIGNS,
    entry,
    hello,
    welcome,
)

SETTINGS = ReplicaSettings(addresses=("a:1",), heartbeat_ms=1_000)


def replica(
    end: int = 0, applied: int = 0, of: EpochHistory = ONE_REIGN, **changes: Any
) -> Replica:
    recovered = RecoveredState(
        history=of.truncated_after(Offset(end)),
        durable_offset=Offset(end),
        applied_offset=Offset(applied),
    )
    identity = replace(REPLICA_NODE, **changes)
    return Replica(identity, SETTINGS, recovered, lambda: 0.0)


def streaming(end: int = 0, applied: int = 0, of: EpochHistory = ONE_REIGN) -> Replica:
    """Welcomed by a master that has 10 entries more than this replica."""
    found = replica(end, applied, of)
    found.start()
    found.connected_to_master(0)
    found.receive(welcome(end, end + 10, of), 0)
    return found


def syncing(end: int = 0) -> Replica:
    found = replica(end)
    found.start()
    found.connected_to_master(0)
    found.receive(welcome(0, 10, plan=Plan.FULL_SYNC), 0)
    return found


def ping(current: int = 10, commit: int = 10, **changes: Any) -> Ping:
    said = Ping(
        5,
        Offset(current),
        Offset(commit),
        Epoch(1),
        "cluster",
        ONE_REIGN.history_id,
    )
    return replace(said, **changes)


def names(effects: Effects) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def acked(durable: int, applied: int) -> Send:
    return Send(MASTER, WalAck(Offset(durable), Offset(applied)))


def disconnected(effects: Effects) -> Disconnect:
    *_, disconnect, connect = effects
    assert isinstance(disconnect, Disconnect)
    assert isinstance(connect, Connect)
    return disconnect


def test_a_replica_says_where_it_stands() -> None:
    found = replica(5)

    assert found.start() == (Connect("a:1", 0),)
    (send,) = found.connected_to_master(0)

    assert isinstance(send, Send)
    assert isinstance(send.message, Hello)
    assert str(send.message.position) == "1:5@a1"
    assert send.message.history == ONE_REIGN
    assert found.state is LinkState.CONNECTING
    assert found.master_addr == "a:1"


def test_an_empty_replica_adopts_the_masters_cluster() -> None:
    found = replica(cluster_id="")
    found.start()
    found.connected_to_master(0)

    adopt, ack = found.receive(welcome(), 0)

    assert adopt == Adopt(welcome())
    assert ack == acked(0, 0)
    assert (found.cluster_id, found.epoch, found.is_connected) == ("cluster", 1, True)
    assert found.master == welcome()


def test_entries_are_stored_then_acknowledged_then_applied() -> None:
    found = streaming()

    (store,) = found.receive_entries([entry(1), entry(2)], 0)
    assert isinstance(store, Store)
    assert [record.offset for record in store.records] == [1, 2]
    assert found.stored(Offset(2), 0) == (acked(2, 0), Apply(Offset(2)))
    assert found.applied(Offset(1), 0) == ()
    assert found.applied(Offset(2), 0) == (acked(2, 2),)
    assert names(found.receive(entry(3), 0)) == ["Store"]
    assert found.receive(entry(2), 0) == ()


def test_entries_found_in_the_log_are_applied_once_the_master_has_matched_them() -> (
    None
):
    found = replica(8, applied=3)
    found.start()
    found.connected_to_master(0)

    effects = found.receive(welcome(8, 20), 0)

    assert effects[1:] == (acked(8, 3), Apply(Offset(8)))
    assert found.commit_offset == 8


def test_only_what_is_committed_is_applied_and_a_ping_brings_the_rest() -> None:
    found = replica()
    found.start()
    found.connected_to_master(0)
    found.receive(welcome(commit_offset=Offset(0)), 0)
    found.receive_entries([entry(1, commit=0), entry(2, commit=1)], 0)

    assert found.stored(Offset(2), 0) == (acked(2, 0), Apply(Offset(1)))
    assert found.receive(ping(commit=2), 0) == (
        Send(MASTER, Pong(5, Offset(2), Offset(0))),
        Apply(Offset(2)),
    )


def test_a_replica_says_at_once_that_its_disk_has_no_space_and_when_it_has() -> None:
    found = streaming()
    found.receive(entry(1), 10)

    said = found.lacks_space(20)
    stored = found.stored(Offset(1), 30)

    assert said == (Send(MASTER, WalAck(Offset(0), Offset(0), no_space=True)),)
    assert stored[0] == Send(MASTER, WalAck(Offset(1), Offset(0)))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_gap_ends_the_connection_and_nothing_is_stored(*, at_once: bool) -> None:
    found = streaming()

    if at_once:
        effects = found.receive_entries([entry(1), entry(3)], 0)
    else:
        effects = found.receive(entry(2), 0)

    assert disconnected(effects).code is ErrorCode.MALFORMED
    assert found.stats(0, bytes_received=0).current_offset == 0


@pytest.mark.parametrize(
    "message",
    [
        ping(epoch=Epoch(2)),
        ping(history_id="z"),
        welcome(),
        hello(),
        VoteReply(Epoch(1), granted=True),
        SnapshotMeta("s7", 1, 1, 0),
    ],
)
def test_what_no_true_master_sends_ends_the_connection(message: Any) -> None:
    found = streaming()

    assert disconnected(found.receive(message, 0)).code is ErrorCode.MALFORMED


def test_entries_before_the_welcome_end_the_connection() -> None:
    found = replica()
    found.start()
    assert found.receive_entries([entry(1)], 0) == ()
    found.connected_to_master(0)

    effects = found.receive_entries([entry(1)], 0)

    assert disconnected(effects).code is ErrorCode.MALFORMED


def test_what_still_arrives_in_a_full_sync_is_left_alone() -> None:
    found = syncing()

    assert found.receive_entries([entry(1)], 0) == ()
    assert found.receive(Pong(0), 0) == ()
    assert names(found.receive(ping(), 0)) == ["Send"]
    assert found.lag(0) == 10


def test_another_clusters_master_changes_nothing_and_is_asked_again() -> None:
    found = replica(5)
    found.start()
    found.connected_to_master(0)

    effects = found.receive(welcome(5, cluster_id="other"), 0)

    assert names(effects) == ["Report", "Disconnect", "Connect"]
    assert disconnected(effects).code is ErrorCode.CLUSTER
    assert "nothing was changed" in found.last_error
    assert found.cluster_id == "cluster"


def test_a_refusal_is_kept_as_the_reason_and_tried_again_later() -> None:
    found = replica(5)
    found.start()
    found.connected_to_master(0)

    report, _, connect = found.receive(Error("cluster", "not yours"), 0)

    assert isinstance(report, Report)
    assert connect == Connect("a:1", 1_000)
    assert found.last_error == "cluster: not yours"


@pytest.mark.parametrize(
    ("code", "level"), [("not_master", Level.INFO), ("cluster", Level.WARNING)]
)
def test_it_is_no_warning_that_a_node_is_a_replica_too(code: str, level: Level) -> None:
    found = replica(5)
    found.start()
    found.connected_to_master(0)

    report, *_ = found.receive(Error(code, "as the wire has it"), 0)

    assert isinstance(report, Report)
    assert report.level is level


@pytest.mark.parametrize(("address", "next_one"), [("c:1", "c:1"), ("b:1", "a:1")])
def test_a_node_that_knows_the_master_is_believed_unless_it_names_us(
    address: str, next_one: str
) -> None:
    found = replica(5)
    found.start()
    found.connected_to_master(0)

    effects = found.receive(Error("not_master", "ask", Epoch(1), address), 0)

    assert effects[-1] == Connect(next_one, 1_000)


def test_a_master_that_does_not_answer_or_falls_silent_is_given_up() -> None:
    waiting, following = replica(), streaming()
    waiting.start()
    waiting.connected_to_master(0)

    assert waiting.tick(10_000) == ()
    assert "Hello" in disconnected(waiting.tick(10_001)).reason
    assert names(following.tick(3_000)) == ["Send"]
    assert "3001 ms" in disconnected(following.tick(3_001)).reason
    assert following.receive(ping(), 3_002) == ()


def test_a_master_whose_message_is_still_arriving_is_not_silent() -> None:
    following = streaming()

    following.grows(SIGN_BYTES, 2_500)

    assert names(following.tick(5_500)) == ["Send"]
    assert "3001 ms" in disconnected(following.tick(5_501)).reason
    following.grows(SIGN_BYTES, 5_502)  # of a connection that was given up
    assert following.tick(5_503) == ()


def test_a_silent_replica_pings_and_a_talking_one_does_not() -> None:
    found = streaming()
    assert found.tick(999) == ()

    (send,) = found.tick(1_000)
    found.stored(Offset(0), 1_500)

    assert send == Send(MASTER, Ping(1_000, Offset(0), epoch=Epoch(1)))
    assert found.tick(2_000) == ()


def test_a_broken_connection_is_tried_again_from_where_it_stood() -> None:
    found = streaming()
    found.receive_entries([entry(1)], 0)
    found.stored(Offset(1), 0)

    assert found.disconnected("reset") == (Connect("a:1", 1_000),)
    (send,) = found.connected_to_master(0)

    assert isinstance(send, Send)
    assert isinstance(send.message, Hello)
    assert send.message.position.offset == 1
    assert found.stats(0, bytes_received=0).reconnects == 1


def test_no_hello_while_the_disk_is_at_work() -> None:
    found = streaming()
    found.receive_entries([entry(1)], 0)
    found.disconnected("reset")

    effects = found.connected_to_master(0)

    assert "disk" in disconnected(effects).reason
    assert found.stored(Offset(1), 0) == (Apply(Offset(1)),)
    assert names(found.connected_to_master(0)) == ["Send"]


def test_an_entry_that_does_not_fit_leads_to_a_full_sync() -> None:
    found = streaming(5, applied=4)

    effects = found.apply_failed("table t, key 3", 0)

    assert names(effects) == ["Report", "Send", "Send"]
    assert effects[1] == Send(MASTER, WalAck(Offset(5), Offset(4), success=False))
    assert found.state is LinkState.FULL_SYNC
    assert found.last_error == "table t, key 3"
    assert found.stats(0, bytes_received=0).apply_conflicts == 1


def test_an_apply_that_fails_offline_leads_to_a_full_sync_at_the_next_welcome() -> None:
    found = streaming(5)
    found.disconnected("reset")

    assert names(found.apply_failed("table t, key 3", 0)) == ["Report"]
    found.connected_to_master(0)
    effects = found.receive(welcome(5, 20), 0)

    assert names(effects) == ["Adopt", "Send"]
    assert found.state is LinkState.FULL_SYNC


def test_a_full_sync_ends_in_streaming_without_a_gap() -> None:
    found = syncing(3)
    position = ONE_REIGN.position_at(Offset(7))
    found.receive(SnapshotMeta("s7", 4, 1, 0, position), 0)
    found.receive(SnapshotChunk("s7", 0, b"data", 0), 0)
    (install,) = found.receive(SnapshotComplete("s7", success=True), 0)

    again = found.installed(position, ONE_REIGN, 0)
    found.connected_to_master(0)
    found.receive(welcome(7, 9), 0)

    assert names((install, *again)) == ["Install", "Send", "Disconnect", "Connect"]
    assert names(found.receive(entry(8), 0)) == ["Store"]
    assert found.stats(0, bytes_received=9).full_syncs == 1


def rewinding(end: int = 14, applied: int = 12) -> Replica:
    """Welcomed by a master whose history it has left after entry 10."""
    found = replica(end, applied)
    found.start()
    found.connected_to_master(0)
    effects = found.receive(welcome(10, 20, TWO_REIGNS, plan=Plan.REWIND), 0)
    assert names(effects) == ["Adopt", "Diverged", "Rewind"]
    assert found.state is LinkState.REWINDING
    return found


def test_a_rewound_replica_says_so_and_streams_from_the_fork() -> None:
    found = rewinding()

    assert found.rewound(0) == (acked(10, 10),)

    assert found.state is LinkState.STREAMING
    assert names(found.receive(entry(11, of=TWO_REIGNS), 0)) == ["Store"]
    assert found.stats(0, bytes_received=0).rewinds == 1
    assert found.history.epoch == 2


def test_shared_entries_that_were_not_applied_are_applied_after_the_rewind() -> None:
    assert rewinding(applied=7).rewound(0) == (acked(10, 7), Apply(Offset(10)))


def test_the_commit_offset_moves_only_after_the_rewind_has_ended() -> None:
    found = rewinding(applied=7)
    said = ping(20, 20, epoch=Epoch(2), history_id=TWO_REIGNS.history_id)

    assert names(found.receive(said, 0)) == ["Send"]
    assert found.commit_offset == 0
    found.rewound(0)

    assert found.commit_offset == 10


def test_a_link_lost_during_a_rewind_is_sought_again_when_it_has_ended() -> None:
    found = rewinding()

    assert found.disconnected("reset") == ()
    assert names(found.rewound(0)) == ["Connect"]
    (send,) = found.connected_to_master(0)

    assert isinstance(send, Send)
    assert isinstance(send.message, Hello)
    assert str(send.message.position) == "1:10@a1"


def test_a_failed_rewind_is_a_full_sync_now_or_at_the_next_welcome() -> None:
    now, later = rewinding(), rewinding()
    later.disconnected("reset")

    assert names(now.rewind_failed("a schema statement", 0)) == ["Report", "Send"]
    assert now.state is LinkState.FULL_SYNC
    assert names(later.rewind_failed("a schema statement", 0)) == ["Report", "Connect"]
    later.connected_to_master(0)
    again = later.receive(welcome(10, 20, TWO_REIGNS, plan=Plan.REWIND), 0)

    assert names(again) == ["Adopt", "Send"]


def test_an_entry_that_did_not_fit_before_the_fork_needs_a_snapshot_all_the_same() -> (
    None
):
    found = rewinding(applied=7)
    assert names(found.apply_failed("table t, key 3", 0)) == ["Report"]

    assert names(found.rewound(0)) == ["Send"]

    assert found.state is LinkState.FULL_SYNC


def test_a_replica_that_is_stopped_during_its_rewind_stays_so() -> None:
    found = rewinding()
    found.stop()

    assert found.rewound(0) == ()
    assert found.state is LinkState.STOPPED


def test_a_failed_install_is_reported_and_asked_for_again() -> None:
    found = syncing()

    effects = found.install_failed("bad CRC", 0)

    assert names(effects) == ["Report", "Send", "Disconnect", "Connect"]


def test_a_snapshot_begun_before_a_restart_goes_on() -> None:
    found = replica(3)
    found.resume_snapshot("s7", 4)
    found.start()
    found.connected_to_master(0)

    effects = found.receive(welcome(3, plan=Plan.FULL_SYNC), 0)

    wish = RequestSnapshot(REPLICA_NODE.node_id, "s7", 4, takes_growing=True)
    assert effects[-1] == Send(MASTER, wish)


def test_a_full_sync_that_must_wait_is_asked_for_by_the_clock() -> None:
    found = syncing()
    found.install_failed("bad CRC", 0)
    found.connected_to_master(500)
    assert names(found.receive(welcome(0, plan=Plan.FULL_SYNC), 500)) == ["Adopt"]

    assert found.tick(900) == ()
    assert names(found.tick(1_000)) == ["Send"]


def test_long_streaming_makes_the_next_full_sync_immediate() -> None:
    found = syncing()
    found.install_failed("bad CRC", 0)
    found.connected_to_master(0)
    found.receive(welcome(), 0)
    found.receive(ping(), 60_000)
    found.tick(60_000)

    assert names(found.apply_failed("no", 60_001)) == ["Report", "Send", "Send"]


def test_a_paused_replica_stores_and_acknowledges_but_applies_nothing() -> None:
    found = streaming()

    found.pause()
    found.receive_entries([entry(1)], 0)
    assert found.stored(Offset(1), 0) == (acked(1, 0),)
    assert (found.state, found.paused) == (LinkState.PAUSED, True)
    found.disconnected("reset")
    found.connected_to_master(0)
    found.receive(welcome(1, 5), 0)
    assert found.state.value == "paused"
    assert names(found.resume(0)) == ["Report", "Apply"]
    assert found.state.value == "streaming"


def test_who_was_paused_before_a_restart_stays_so_until_it_is_resumed() -> None:
    end = Offset(2)
    recovered = RecoveredState(
        history=ONE_REIGN, durable_offset=end, applied_offset=end, paused=True
    )
    found = Replica(REPLICA_NODE, SETTINGS, recovered, lambda: 0.0)

    assert names(found.start()) == ["Report", "Connect"]
    found.connected_to_master(0)
    found.receive(welcome(2, 5), 0)
    found.receive_entries([entry(3)], 0)
    assert found.stored(Offset(3), 0) == (acked(3, 2),)
    assert (found.state, found.paused) == (LinkState.PAUSED, True)

    assert names(found.resume(0)) == ["Report", "Apply"]


def test_pause_and_resume_without_a_master_are_kept_for_later() -> None:
    found = replica()

    found.pause()
    assert found.paused
    assert names(found.resume(0)) == ["Report"]
    assert not found.paused


def test_what_has_the_offset_of_a_chosen_entry_that_is_gone_is_not_applied() -> None:
    found = rewinding(end=14, applied=7)
    found.apply_until(Offset(12), 0)

    rewound = found.rewound(0)
    found.receive_entries([entry(at, of=TWO_REIGNS) for at in (11, 12)], 0)
    stored = found.stored(Offset(12), 0)

    assert rewound == (acked(10, 7),)
    assert stored == (acked(12, 7),)
    assert Apply(Offset(12)) in found.resume(0)


def test_lag_is_told_in_entries_and_seconds() -> None:
    found = streaming(5, applied=5)

    assert found.lag(0) == 10
    assert found.lag_seconds(2_500) == 2.5
    stats = found.stats(2_500, bytes_received=77)
    assert (stats.lag, stats.bytes_received, stats.master_id) == (10, 77, "a")
    assert replica().stats(0, bytes_received=0).master_id == ""


def test_a_visitor_is_told_who_the_master_is() -> None:
    found = streaming()

    (close,) = found.hello(PEER, hello(node_id="c"))
    found.disconnected("reset")
    (unknown,) = found.hello(PEER, hello(node_id="c"))

    assert isinstance(close, Close)
    assert (close.code, close.master_addr) == (ErrorCode.NOT_MASTER, "a:1")
    assert isinstance(unknown, Close)
    assert unknown.master_addr == ""


def test_a_new_master_that_announces_itself_is_followed_at_once() -> None:
    found = streaming(12, of=TWO_REIGNS)
    at = {"node_id": "c", "master_addr": "c:1", "address": "c:1"}
    said = hello(12, TWO_REIGNS, epoch=Epoch(3), **at)

    close, disconnect, connect = found.hello(PEER, said)

    assert isinstance(close, Close)
    assert isinstance(disconnect, Disconnect)
    assert connect == Connect("c:1", 0)
    assert found.history == TWO_REIGNS


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": Epoch(1)},
        {"cluster_id": "other"},
        {"cluster_id": ""},
        {"master_addr": "d:1"},
    ],
)
def test_an_announcement_that_does_not_count_moves_nothing(
    changes: dict[str, Any],
) -> None:
    found = streaming()
    said = hello(epoch=Epoch(3), node_id="c", master_addr="c:1", address="c:1")

    (close,) = found.hello(PEER, replace(said, **changes))

    assert isinstance(close, Close)
    assert found.state is LinkState.STREAMING


def test_a_stopped_replica_leaves_and_is_deaf() -> None:
    found = streaming()

    assert names(found.stop()) == ["Disconnect"]
    assert found.stop() == ()
    assert found.receive(ping(), 0) == ()
    assert found.tick(99_999) == ()
    assert found.state is LinkState.STOPPED
