"""A master by the leader key counts a list besides a quorum (hard-case 4)."""

from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.protocol.messages import Pong
from nexus.replication.effects import CommitAdvanced, Effects, Peer
from nexus.replication.etcd.master import KeyedMaster
from nexus.replication.settings import Identity, LogExtent, MasterSettings
from replication.examples import hello, history

B, C = Peer("b"), Peer("c")
ME = Identity(node_id=NodeId("a"), cluster_id="cluster", address="a:1")


def master(*required: str, quorum: int = 2) -> KeyedMaster:
    return KeyedMaster(
        ME,
        MasterSettings(quorum=quorum),
        history((1, "h1", 1)),
        LogExtent(Offset(1), Offset(0)),
        frozenset(NodeId(name) for name in required),
        0,
    )


def joins(machine: KeyedMaster, peer: Peer) -> None:
    machine.hello(
        peer, hello(node_id=NodeId(peer), voter=True, cluster_id="cluster"), 0
    )


def holds(machine: KeyedMaster, peer: Peer, offset: int) -> Effects:
    pong = Pong(0, Offset(offset), Offset(0))
    machine.streamed(peer, Offset(offset + 1), 1, 0)
    return machine.receive(peer, pong, 0)


def committed(effects: Effects) -> list[int]:
    return [one.offset for one in effects if isinstance(one, CommitAdvanced)]


def test_an_entry_is_committed_once_each_listed_node_holds_it() -> None:
    machine = master("a", "b", "c")
    joins(machine, B)
    joins(machine, C)
    machine.stored(Offset(3), 0)

    one = committed(holds(machine, C, 3))
    all_of_them = committed(holds(machine, B, 2))

    assert (one, all_of_them) == ([], [2])
    assert machine.promised_offset == 2


def test_a_list_of_one_does_not_do_without_the_quorum() -> None:
    machine = master("a")
    joins(machine, B)

    assert committed(machine.stored(Offset(3), 0)) == []
    assert committed(holds(machine, B, 3)) == [3]


def test_a_quorum_of_one_waits_for_the_list_too() -> None:
    machine = master("a", "b", quorum=1)

    assert committed(machine.stored(Offset(3), 0)) == []
    assert committed(machine.require(frozenset((NodeId("a"),)), 0)) == [3]
    assert machine.require(frozenset((NodeId("a"),)), 0) == ()


def test_before_the_first_commit_all_that_was_inherited_may_be_promised() -> None:
    assert master("a").promised_offset == 1
    assert master("a").durable_offset == 0


def test_followers_are_seen_as_the_list_needs_them() -> None:
    machine = master("a")
    joins(machine, B)
    (seen,) = machine.followers()
    machine.pause(NodeId("b"))
    (paused,) = machine.followers()

    assert (seen.node_id, seen.may_reign, seen.streams) == ("b", True, True)
    assert not paused.streams
