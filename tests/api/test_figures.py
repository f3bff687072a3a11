"""One answer has every figure of a node, and no other value than the calls give."""

from api.fake_node import FakeNode
from nexus.api.figures import figures_of


def test_a_master_tells_its_replicas_and_counters(node: FakeNode) -> None:
    figures = figures_of(node, 0)

    assert figures.status == node.status()
    assert figures.master_stats == node.master_stats()
    assert figures.replicas == node.replicas()
    assert figures.replica_stats is None
    assert figures.members == node.members()


def test_a_replica_tells_its_own_counters(replica: FakeNode) -> None:
    figures = figures_of(replica, 0)

    assert figures.replica_stats == replica.replica_stats()
    assert (figures.master_stats, figures.replicas) == (None, ())


def test_only_events_that_are_new_to_the_caller_are_told(node: FakeNode) -> None:
    node.events.info("paused", "")
    (known,) = node.events.since(0)
    node.events.info("resumed", "")

    told = figures_of(node, known.id).events

    assert [event.kind for event in told] == ["resumed"]
