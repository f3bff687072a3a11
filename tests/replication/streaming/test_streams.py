from msgspec.structs import replace

from nexus.model.cluster import LinkState, NodeId
from nexus.model.position import EpochHistory, Offset
from nexus.protocol.messages import Ping, Plan, Pong, WalAck
from nexus.replication.effects import CommitAdvanced, Send, Stream
from nexus.replication.handshake.admission import Admission
from nexus.replication.settings import LogExtent, MasterSettings
from nexus.replication.streaming.progress import Progress
from nexus.replication.streaming.streams import Streams
from replication.examples import MASTER_NODE, ONE_REIGN, PEER, TWO_REIGNS, hello


def streams(
    durable: int = 10, quorum: int = 1, of: EpochHistory = ONE_REIGN
) -> tuple[Streams, Progress]:
    """A master's streams, and one replica that has everything."""
    settings = MasterSettings(quorum=quorum, heartbeat_ms=1_000)
    extent = LogExtent(Offset(1), Offset(durable))
    found = Streams(MASTER_NODE, settings, of, extent, 0)
    progress = found.fleet.join(PEER, hello(), 0)
    assert progress is not None
    progress.streams_from(Offset(durable), found.commit)
    return found, progress


def ack(durable: int, applied: int = 0) -> WalAck:
    return WalAck(Offset(durable), Offset(applied))


def test_what_is_durable_here_is_committed_and_sent_at_once() -> None:
    found, _ = streams()

    assert found.stored(Offset(12), 0) == (
        CommitAdvanced(Offset(12)),
        Stream(PEER, Offset(11), Offset(13), Offset(12)),
    )
    assert found.stored(Offset(12), 0) == ()


def test_with_a_quorum_an_entry_is_committed_when_the_replica_has_it() -> None:
    found, progress = streams(quorum=2)
    assert found.stored(Offset(12), 0) == (
        CommitAdvanced(Offset(10)),
        Stream(PEER, Offset(11), Offset(13), Offset(10)),
    )
    progress.streamed(Offset(13), 100)

    advanced, told = found.acknowledged(progress, ack(12), 0)

    assert advanced == CommitAdvanced(Offset(12))
    assert isinstance(told, Send)
    assert isinstance(told.message, Ping)
    assert told.message.commit_offset == 12
    assert found.durable_on(Offset(12)) == 2
    assert found.durable_on(Offset(13)) == 0


def test_what_goes_ahead_of_the_own_sync_is_committed_after_it() -> None:
    found, progress = streams(quorum=2)
    found.joined(progress, Admission(Plan.STREAM, Offset(10)), 0)
    progress.streamed(Offset(11), 0)

    sent = found.written(Offset(12), 0)

    assert sent == (Stream(PEER, Offset(11), Offset(13), found.commit),)
    assert found.extent == LogExtent(Offset(1), Offset(12))
    progress.streamed(Offset(13), 100)
    assert found.refuted(progress, ack(12)) == ""
    assert found.acknowledged(progress, ack(12), 0) == ()
    assert found.durable_on(Offset(12)) == 1
    assert found.stored(Offset(12), 0)[0] == CommitAdvanced(Offset(12))


def test_a_count_alone_does_not_commit_entries_of_an_earlier_reign() -> None:
    found, progress = streams(durable=10, quorum=2, of=TWO_REIGNS)

    assert found.acknowledged(progress, ack(10), 0) == ()
    found.stored(Offset(11), 0)
    assert found.commit == 0
    progress.streamed(Offset(12), 0)
    assert found.acknowledged(progress, ack(11), 0)[0] == CommitAdvanced(Offset(11))


def test_only_who_streams_and_was_heard_of_is_in_reach_of_a_quorum() -> None:
    found, progress = streams(quorum=2)

    assert found.nodes_in_reach(3_000) == 2
    assert found.nodes_in_reach(3_001) == 1
    progress.needs_snapshot()
    assert found.nodes_in_reach(0) == 1


def test_who_votes_is_shown_as_a_voter_whatever_it_says_of_itself() -> None:
    found, progress = streams(quorum=2)
    before = found.replicas(0)[0].voter

    found.elected(frozenset({MASTER_NODE.node_id, progress.node_id}))

    assert not before
    assert found.replicas(0)[0].voter


def test_hard_case_11_a_full_witness_counts_for_no_new_write() -> None:
    found, progress = streams(quorum=2)
    full = WalAck(Offset(10), Offset(0), full=True)

    found.acknowledged(progress, full, 0)
    while_full = found.nodes_in_reach(0)
    shown = found.replicas(0)[0].full
    found.joined(progress, Admission(Plan.STREAM, Offset(10)), 5)
    after_a_break = found.nodes_in_reach(5)
    found.acknowledged(progress, Pong(6, Offset(10)), 6)
    after_a_pong = found.nodes_in_reach(6)
    found.acknowledged(progress, ack(10), 7)

    assert while_full == after_a_break == after_a_pong == 1
    assert shown
    assert found.nodes_in_reach(7) == 2
    assert not found.replicas(7)[0].full


def test_who_has_no_space_holds_nothing_not_even_a_change_of_the_voters() -> None:
    found, progress = streams(quorum=2)
    found.changes = True
    full = WalAck(Offset(10), Offset(0), full=True)

    found.acknowledged(progress, full, 0)
    with_overrun = found.nodes_in_reach(0)
    found.acknowledged(progress, replace(full, no_space=True), 1)
    shown = found.replicas(1)[0].no_space
    found.joined(progress, Admission(Plan.STREAM, Offset(10)), 5)
    after_a_break = found.nodes_in_reach(5)
    found.acknowledged(progress, ack(10), 7)

    assert with_overrun == 2
    assert after_a_break == 1
    assert shown
    assert found.nodes_in_reach(7) == 2
    assert not found.replicas(7)[0].no_space


def test_acks_that_no_true_replica_sends_are_refuted() -> None:
    found, progress = streams()

    assert "it was sent none after 10" in found.refuted(progress, ack(11))
    assert "applied entry 8 and holds 7" in found.refuted(progress, ack(7, 8))
    assert found.refuted(progress, Pong(0, Offset(10), Offset(10))) == ""


def test_a_log_that_goes_back_counts_when_it_says_that_it_has() -> None:
    found, progress = streams(quorum=2)
    found.joined(progress, Admission(Plan.REWIND, Offset(7)), 0)

    assert progress.state is LinkState.REWINDING
    assert found.refuted(progress, Pong(0, Offset(12), Offset(12))) == ""
    assert found.acknowledged(progress, Pong(0, Offset(12), Offset(12)), 0) == ()
    assert found.nodes_in_reach(0) == 1
    assert "take back what it has after 7" in found.refuted(progress, ack(12))
    assert found.refuted(progress, ack(7)) == ""

    effects = found.acknowledged(progress, ack(7), 0)

    assert effects[-1] == Stream(PEER, Offset(8), Offset(11), Offset(7))
    assert progress.acked == 7


def test_a_plan_decides_what_a_welcomed_replica_is_sent() -> None:
    found, progress = streams()

    synced = found.joined(progress, Admission(Plan.FULL_SYNC, Offset(7)), 0)
    streamed = found.joined(progress, Admission(Plan.STREAM, Offset(7)), 0)

    assert synced == ()
    assert streamed == (Stream(PEER, Offset(8), Offset(11), Offset(10)),)


def test_an_ack_may_overtake_the_report_that_its_entry_was_sent() -> None:
    found, progress = streams()
    found.stored(Offset(12), 0)

    assert found.refuted(progress, ack(12)) == ""


def test_offsets_of_a_log_that_is_not_ours_mean_nothing() -> None:
    found, progress = streams()
    progress.needs_snapshot()

    assert found.refuted(progress, ack(99)) == ""
    assert found.acknowledged(progress, ack(99), 0) == ()
    assert found.durable_on(Offset(10)) == 1


def test_every_silent_heartbeat_is_followed_by_a_ping() -> None:
    found, _ = streams()

    assert found.tick(999) == ()
    (ping,) = found.tick(1_000)
    assert found.tick(1_999) == ()

    assert isinstance(ping, Send)
    assert ping.message == Ping(
        1_000,
        Offset(10),
        Offset(10),
        ONE_REIGN.epoch,
        "cluster",
        ONE_REIGN.history_id,
    )


def test_the_totals_add_up_over_all_replicas() -> None:
    found, progress = streams()
    found.stored(Offset(12), 0)
    progress.streamed(Offset(13), 250)

    stats = found.stats(100, transfers=3, rejected=4)

    assert (stats.entries_replicated, stats.bytes_sent) == (2, 250)
    assert (stats.connected_replicas, stats.healthy_replicas) == (1, 1)
    assert (stats.snapshot_transfers, stats.rejected_connections) == (3, 4)
    assert stats.current_offset == 12


def test_who_is_elected_knows_nothing_to_be_committed() -> None:
    found, progress = streams(quorum=2)
    found.stored(Offset(11), 0)
    progress.streamed(Offset(12), 0)
    found.acknowledged(progress, ack(11), 0)
    assert found.commit == 11

    found.elected(frozenset({MASTER_NODE.node_id, progress.node_id}))

    assert found.commit == 0
    assert found.tally.voters == {MASTER_NODE.node_id, progress.node_id}


def test_fewer_who_count_may_commit_what_is_there_already() -> None:
    found, _ = streams(quorum=0)
    found.elected(frozenset({MASTER_NODE.node_id, NodeId("b"), NodeId("c")}))
    found.stored(Offset(12), 0)

    same = found.configured(found.tally.voters, 0, Offset(12), 0)
    alone = found.configured(frozenset({MASTER_NODE.node_id}), 0, Offset(12), 0)

    assert same == ()
    assert alone[0] == CommitAdvanced(Offset(12))


def told(found: Streams, progress: Progress) -> Ping:
    """What a replica is told with a heartbeat."""
    (send,) = found.ping(progress, 100)
    assert isinstance(send, Send)
    assert isinstance(send.message, Ping)
    return send.message


def test_hard_case_11_who_was_removed_counts_until_a_majority_holds_that() -> None:
    found, progress = streams(quorum=0)
    own, away = MASTER_NODE.node_id, NodeId("c")
    found.elected(frozenset({own, progress.node_id, away}))
    found.acknowledged(progress, ack(10), 0)
    before = told(found, progress)

    found.configured(frozenset({own, progress.node_id}), 0, Offset(11), 0)
    found.stored(Offset(11), 0)
    pending = told(found, progress)
    progress.streamed(Offset(12), 0)
    found.acknowledged(progress, ack(11), 0)
    done = told(found, progress)

    assert (before.held_offset, before.overrun) == (0, False)
    assert (pending.held_offset, pending.overrun) == (0, True)
    assert (done.held_offset, done.overrun) == (11, False)


def test_a_new_reign_counts_whoever_an_earlier_one_may_have_removed() -> None:
    found, progress = streams(durable=10, quorum=0, of=TWO_REIGNS)
    own, away = MASTER_NODE.node_id, NodeId("c")
    voters = frozenset({own, progress.node_id})
    found.elected(voters, voters | {away})
    found.acknowledged(progress, ack(10), 0)
    early = told(found, progress)

    found.stored(Offset(11), 0)
    progress.streamed(Offset(12), 0)
    found.acknowledged(progress, ack(11), 0)

    assert (early.held_offset, early.overrun) == (0, True)
    assert told(found, progress).held_offset == 11


def test_without_voters_no_witness_is_told_anything() -> None:
    found, progress = streams()

    assert not told(found, progress).overrun
    assert told(found, progress).held_offset == 0
