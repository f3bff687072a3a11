"""What a replica's machine tells of itself."""

from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.protocol.messages import WalAck
from nexus.replication.effects import MASTER, Apply, Send
from nexus.replication.replica import Replica
from nexus.replication.settings import Identity, RecoveredState, ReplicaSettings
from replication.examples import ONE_REIGN, entry, welcome

DELAY_MS = 60_000


def delayed() -> Replica:
    """Welcomed at 0 by a master that has entries up to 10; a minute late on purpose."""
    found = Replica(
        Identity(node_id=NodeId("r"), cluster_id="cluster", address="r:1"),
        ReplicaSettings(addresses=("a:1",), apply_delay_ms=DELAY_MS),
        RecoveredState(history=ONE_REIGN),
        lambda: 0.0,
    )
    found.start()
    found.connected_to_master(0)
    found.receive(welcome(0, 10, ONE_REIGN), 0)
    found.receive_entries([entry(offset, of=ONE_REIGN) for offset in range(1, 11)], 0)
    found.stored(Offset(10), 0)
    return found


def test_what_is_held_back_on_purpose_is_told_apart_from_lag() -> None:
    found = delayed()

    assert found.apply_delay_ms == DELAY_MS
    assert (found.lag(1_000), found.held_back(1_000)) == (0, 10)
    assert found.lag_seconds(1_000) == 0
    late_ms = DELAY_MS + 2_000 + 60
    assert (found.lag(late_ms + 500), found.held_back(late_ms + 500)) == (10, 0)
    assert found.lag_seconds(late_ms + 500) == 0.5
    assert found.stats(late_ms, bytes_received=0).lag == 10


def test_a_tick_applies_what_has_become_old_enough() -> None:
    found = delayed()

    assert Apply(Offset(10)) not in found.tick(DELAY_MS - 1)
    assert Apply(Offset(10)) in found.tick(DELAY_MS)


def test_an_operator_may_end_the_wait_of_what_has_come() -> None:
    found = delayed()

    found.pause()
    assert Apply(Offset(10)) not in found.resume(5)
    assert Apply(Offset(10)) in found.resume(6, at_once=True)


def test_an_operator_may_have_entries_applied_up_to_a_chosen_one() -> None:
    found = delayed()

    assert Apply(Offset(7)) in found.apply_until(Offset(7), 5)
    assert found.paused
    found.applied(Offset(7), 6)
    said = Send(MASTER, WalAck(Offset(10), Offset(7)))
    assert found.stored(Offset(10), 2 * DELAY_MS) == (said,)
    assert Apply(Offset(10)) in found.resume(2 * DELAY_MS)
