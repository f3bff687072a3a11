import pytest

from nexus.errors import NotFoundError
from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.replication.effects import Peer
from nexus.replication.streaming.fleet import Fleet
from replication.examples import hello


def join(fleet: Fleet, name: str, now_ms: int = 0) -> bool:
    peer = Peer(f"{name}#{now_ms}")
    return fleet.join(peer, hello(node_id=name), now_ms) is not None


def test_a_replica_is_remembered_while_it_is_away() -> None:
    fleet = Fleet(2)
    join(fleet, "b")
    fleet.leave(Peer("b#0"), 10)

    assert [one.node_id for one in fleet] == ["b"]
    assert fleet.connected() == ()
    assert fleet.peer_of(NodeId("b")) is None
    assert fleet.at(Peer("b#0")) is None


def test_the_longest_gone_makes_room_and_the_connected_never_do() -> None:
    fleet = Fleet(2)
    join(fleet, "b")
    join(fleet, "c")
    assert not join(fleet, "d")
    fleet.leave(Peer("c#0"), 10)
    fleet.leave(Peer("b#0"), 20)

    assert join(fleet, "d", 30)
    assert [one.node_id for one in fleet] == ["b", "d"]


def test_an_end_that_was_known_already_is_nothing() -> None:
    assert Fleet(2).leave(Peer("b#0"), 0) is None


def test_pause_of_all_holds_for_those_to_come() -> None:
    fleet = Fleet(3)
    join(fleet, "b")

    fleet.set_paused(None, paused=True)
    join(fleet, "c")

    assert [one.paused for one in fleet] == [True, True]
    fleet.set_paused(None, paused=False)
    fleet.set_paused(NodeId("c"), paused=True)
    assert [one.paused for one in fleet] == [False, True]


def test_pause_of_a_stranger_names_those_who_are_known() -> None:
    fleet = Fleet(3)

    with pytest.raises(NotFoundError, match="knows none"):
        fleet.set_paused(NodeId("z"), paused=True)
    join(fleet, "b")
    with pytest.raises(NotFoundError, match="'z'; this master knows b"):
        fleet.set_paused(NodeId("z"), paused=True)


def test_who_follows_streams_and_holds_so_much() -> None:
    fleet = Fleet(2)
    assert not fleet.follows(NodeId("b"))
    join(fleet, "b")
    assert not fleet.follows(NodeId("b"))

    progress = fleet.at(Peer("b#0"))
    assert progress is not None
    progress.streams_from(Offset(7), Offset(0))

    assert fleet.follows(NodeId("b"))
    assert fleet.follows(NodeId("b"), through=progress.acked)
    assert not fleet.follows(NodeId("b"), through=Offset(progress.acked + 1))
