"""A replica serves other replicas, and decides nothing."""

from typing import Any

import pytest

from nexus.model.cluster import LinkState, NodeId
from nexus.model.position import ORIGIN, Epoch, EpochHistory, Offset
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Ping,
    Plan,
    WalAck,
    Welcome,
)
from nexus.replication.cascades.relay import SEEKS_MS, Relay
from nexus.replication.effects import Close, Effects, Peer, Send, Stream, without_orders
from nexus.replication.handshake.cascade import CASCADE
from nexus.replication.replica import Replica
from nexus.replication.settings import (
    Identity,
    MasterSettings,
    RecoveredState,
    ReplicaSettings,
)
from replication.examples import ONE_REIGN, TWO_REIGNS, entry, hello, welcome

PEER = Peer("d#1")
OWN = Identity(node_id=NodeId("r"), cluster_id="cluster", address="r:1")


def upstream(held: int = 8, commit: int = 6, **changes: Any) -> Replica:
    """Follows a master that has 10 entries: holds 8 of them, 6 are committed."""
    found = Replica(
        OWN, ReplicaSettings(addresses=("a:1",)), RecoveredState(), random=lambda: 0.0
    )
    found.start()
    found.connected_to_master(0)
    found.receive(welcome(0, 10, ONE_REIGN, commit_offset=Offset(commit), **changes), 0)
    entries = [entry(offset, of=ONE_REIGN) for offset in range(1, held + 1)]
    if held:
        said = [replace_commit(one, commit) for one in entries]
        found.receive_entries(said, 0)
        found.stored(Offset(held), 0)
    return found


def replace_commit(one: Any, commit: int) -> Any:
    return type(one)(one.offset, one.epoch, one.history_id, Offset(commit), one.entry)


def relay() -> Relay:
    return Relay(OWN, MasterSettings())


def asks(end: int = 0, **changes: Any) -> Hello:
    changes.setdefault("node_id", NodeId("d"))
    changes.setdefault("features", (CASCADE,))
    return hello(end, **changes)


def joined(found: Relay, replica: Replica, end: int = 0, **changes: Any) -> Effects:
    return found.hello(PEER, asks(end, **changes), replica, Offset(1), 0)


def closed(effects: Effects) -> Close:
    *_, last = effects
    assert isinstance(last, Close)
    return last


def test_what_is_committed_is_passed_on_and_no_more() -> None:
    sent, stream = joined(relay(), upstream())

    assert isinstance(sent, Send)
    assert isinstance(sent.message, Welcome)
    assert sent.message.plan is Plan.STREAM
    assert sent.message.epoch == 1
    assert sent.message.features == (CASCADE, "via=r,a", "up=a:1")
    assert stream == Stream(PEER, Offset(1), Offset(7), Offset(6))


def test_what_is_committed_later_follows_at_once() -> None:
    found, replica = relay(), upstream()
    joined(found, replica)
    machine = found.serves(PEER)
    assert machine is not None
    machine.streamed(PEER, Offset(7), 100, 0)

    said = Ping(0, Offset(12), Offset(8), Epoch(1), "cluster", ONE_REIGN.history_id)
    replica.receive(said, 5)

    assert found.follow(replica, 5) == (Stream(PEER, Offset(7), Offset(9), Offset(8)),)
    assert found.follow(replica, 6) == ()
    (row,) = found.replicas(5)
    assert (row.lag, row.state) == (12, LinkState.STREAMING)


def test_an_ack_counts_nowhere() -> None:
    found, replica = relay(), upstream()
    joined(found, replica)
    machine = found.serves(PEER)
    assert machine is not None
    machine.streamed(PEER, Offset(7), 100, 0)

    effects = machine.receive(PEER, WalAck(Offset(6), Offset(6)), 5)

    assert without_orders(effects) == ()
    assert (replica.durable, replica.commit_offset) == (8, 6)


def test_heartbeats_tell_the_true_masters_end_and_clock() -> None:
    found, replica = relay(), upstream()
    joined(found, replica)
    said = Ping(
        0,
        Offset(12),
        Offset(6),
        Epoch(1),
        "cluster",
        ONE_REIGN.history_id,
        clock_us=5_000_000,
    )
    replica.receive(said, 1_000)
    found.follow(replica, 1_000)

    (send,) = found.tick(6_000)

    assert isinstance(send, Send)
    assert isinstance(send.message, Ping)
    assert (send.message.current_offset, send.message.commit_offset) == (12, 6)
    assert send.message.clock_us == 10_000_000


def test_who_looks_for_an_upstream_himself_has_no_downstream() -> None:
    found, replica = relay(), upstream()
    joined(found, replica)

    replica.disconnected("gone")
    gone = found.follow(replica, 5)
    refused = joined(found, replica)

    assert closed(gone).code is ErrorCode.BUSY
    assert found.serves(PEER) is None
    assert "looks for its own upstream" in closed(refused).message
    assert found.tick(10) == ()
    assert found.replicas(10) == ()


def test_another_connection_upwards_is_another_one_downwards() -> None:
    found, replica = relay(), upstream()
    joined(found, replica)
    replica.disconnected("gone")
    replica.connected_to_master(10)
    replica.receive(welcome(8, 10, ONE_REIGN, commit_offset=Offset(8)), 10)

    gone = found.follow(replica, 10)

    assert closed(gone).message == "its upstream follows anew"
    assert len(joined(found, replica)) == 2


def test_whom_this_node_follows_cannot_follow_it() -> None:
    replica = upstream(features=(CASCADE, "via=b,d,a"))

    refused = closed(joined(relay(), replica))

    assert refused.code is ErrorCode.LOOP
    assert (
        refused.message
        == "d follows r follows b follows d, which would follow d: a loop"
        or ("a loop" in refused.message)
    )


def test_a_loop_of_nodes_that_all_wait_is_found() -> None:
    """c waits for b, b for r; r asks c, and says who waits for it."""
    r, c = (
        relay(),
        Relay(
            Identity(node_id=NodeId("c"), cluster_id="cluster", address="c:1"),
            MasterSettings(),
        ),
    )
    alone = Replica(
        OWN, ReplicaSettings(addresses=("c:1",)), RecoveredState(), lambda: 0.0
    )
    asked = asks(node_id=NodeId("b"), features=(CASCADE, "waits=b,c"))
    r.hello(PEER, asked, alone, Offset(1), 0)
    waiting = r.waiting(1)

    refused = c.hello(
        PEER,
        asks(node_id=NodeId("r"), features=(CASCADE, *waiting)),
        alone,
        Offset(1),
        2,
    )

    assert waiting == ("waits=r,b,c",)
    assert closed(refused).code is ErrorCode.LOOP
    assert r.waiting(SEEKS_MS) == ("waits=r",)


def test_who_has_more_than_this_log_comes_back_later() -> None:
    refused = closed(joined(relay(), upstream(), end=9))

    assert refused.code is ErrorCode.BUSY
    assert refused.message == "r holds entries up to 8, d more"


def test_who_has_more_than_is_committed_here_takes_nothing_back() -> None:
    sent, *_ = joined(relay(), upstream(), end=8)

    assert isinstance(sent, Send)
    assert isinstance(sent.message, Welcome)
    assert (sent.message.plan, sent.message.from_offset) == (Plan.STREAM, 8)


def test_who_has_met_a_higher_epoch_deposes_nobody() -> None:
    found, replica = relay(), upstream()
    refused = closed(joined(found, replica, epoch=Epoch(2)))
    joined(found, replica)
    machine = found.serves(PEER)
    assert machine is not None

    later = machine.receive(PEER, Ping(0, epoch=Epoch(2)), 5)
    same = joined(found, replica)

    assert "not heard of epoch 2" in refused.message
    assert closed(later).code is ErrorCode.BUSY
    assert isinstance(same[0], Send)
    again = found.serves(PEER)
    assert again is not None
    assert len(again.receive(PEER, Ping(0, epoch=Epoch(1)), 5)) == 1


def test_a_downstream_that_left_the_history_takes_it_back() -> None:
    other = EpochHistory((*ONE_REIGN.reigns[:0], *TWO_REIGNS.reigns))
    replica = upstream()

    found = joined(relay(), replica, end=12, of=other, epoch=Epoch(1))

    assert closed(found).code in {ErrorCode.BUSY, ErrorCode.MALFORMED}


def test_the_log_is_kept_for_a_snapshot_on_its_way() -> None:
    found, replica = relay(), upstream()
    assert found.retention_floor(Offset(9)) == 9
    found.retained(Offset(2))
    joined(found, replica)

    assert found.retention_floor(Offset(9)) == 7
    found.retained(Offset(3))
    assert found.wanted(asks())
    assert not found.wanted(asks(master_addr="b:1", address="b:1"))
    assert not found.wanted(asks(features=()))
    assert asks().position == ORIGIN


@pytest.mark.parametrize("message", [Error(ErrorCode.STOPPING, "bye")])
def test_a_downstream_may_leave(message: Error) -> None:
    found, replica = relay(), upstream()
    joined(found, replica)
    machine = found.serves(PEER)
    assert machine is not None

    machine.receive(PEER, message, 5)

    assert found.serves(PEER) is None
