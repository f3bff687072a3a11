"""A replica with downstreams, where nobody votes."""

from nexus.model.cluster import NodeId
from nexus.model.position import EpochHistory, Offset
from nexus.protocol.messages import Plan, WalAck
from nexus.replication.cascades.relaying_replica import RelayingReplica
from nexus.replication.effects import Close, Effects, Peer, Send, Stream
from nexus.replication.handshake.cascade import CASCADE
from nexus.replication.settings import (
    Identity,
    MasterSettings,
    RecoveredState,
    ReplicaSettings,
)
from replication.examples import ONE_REIGN, entry, hello, history, welcome

PEER = Peer("d#1")
ASKS = hello(0, node_id=NodeId("d"), features=(CASCADE,))


FORKED = history((1, "a1", 1), (2, "x2", 6))
MASTERS = history((1, "a1", 1), (3, "c3", 6))


def replica(
    plan: Plan = Plan.STREAM, end: int = 0, own: EpochHistory = ONE_REIGN
) -> RelayingReplica:
    """Welcomed by a master that has 10 entries, all committed."""
    found = RelayingReplica(
        Identity(node_id=NodeId("r"), cluster_id="cluster", address="r:1"),
        ReplicaSettings(addresses=("a:1",), cascades=True),
        RecoveredState(history=own, durable_offset=Offset(end)),
        lambda: 0.0,
        MasterSettings(),
    )
    found.start()
    found.connected_to_master(0)
    from_offset = end if plan is Plan.STREAM else 2
    found.receive(welcome(from_offset, 10, own, plan=plan), 0)
    return found


def of_port(effects: Effects) -> list[object]:
    return [
        effect
        for effect in effects
        if isinstance(effect, Close | Stream | Send) and effect.peer == PEER
    ]


def grown(found: RelayingReplica) -> Effects:
    found.receive_entries([entry(at, of=ONE_REIGN) for at in range(1, 11)], 1)
    return found.stored(Offset(10), 2)


def test_it_says_that_a_replica_will_do_and_who_waits_for_it() -> None:
    found = replica()
    found.disconnected("gone")
    found.visited(PEER, ASKS, Offset(1), 0)

    (send,) = found.connected_to_master(5)

    assert isinstance(send, Send)
    assert send.message.features == (CASCADE, "waits=r,d")  # type: ignore[union-attr]  # it is a Hello


def test_what_is_stored_goes_on_to_downstreams() -> None:
    found = replica()
    found.visited(PEER, ASKS, Offset(1), 0)

    assert of_port(grown(found)) == [Stream(PEER, Offset(1), Offset(11), Offset(10))]
    assert found.served(PEER, lambda one: one.streamed(PEER, Offset(11), 9, 3)) == ()
    ack = WalAck(Offset(10), Offset(10))
    assert found.served(PEER, lambda one: one.receive(PEER, ack, 4)) == ()
    assert found.served(Peer("x"), lambda one: one.disconnected(PEER, 5)) == ()


def test_downstreams_leave_before_the_log_goes_back_or_is_replaced() -> None:
    found = replica()
    grown(found)
    found.visited(PEER, ASKS, Offset(1), 3)

    left = found.apply_failed("no such row", 4)

    (close,) = of_port(left)
    assert isinstance(close, Close)


def test_downstreams_are_served_again_once_the_log_has_gone_back() -> None:
    found = replica(own=FORKED, end=8)
    found.disconnected("gone")
    found.connected_to_master(5)
    said = welcome(5, 10, MASTERS, plan=Plan.REWIND)
    found.receive(said, 5)
    assert isinstance(found.visited(PEER, ASKS, Offset(1), 6)[-1], Close)

    found.rewound(7)

    assert len(of_port(found.visited(PEER, ASKS, Offset(1), 8))) == 2


def test_a_tick_is_theirs_too() -> None:
    found = replica()
    grown(found)
    found.visited(PEER, ASKS, Offset(1), 3)

    pinged = of_port(found.tick(6_000))

    assert len(pinged) == 1


def test_a_snapshot_begins_another_time_of_following() -> None:
    found = replica(Plan.FULL_SYNC, 5)

    effects = found.installed(ONE_REIGN.position_at(Offset(9)), ONE_REIGN, 5)

    assert of_port(effects) == []
    visitor = hello(0, node_id=NodeId("v"))
    assert isinstance(found.visited(PEER, visitor, Offset(1), 6)[0], Close)
