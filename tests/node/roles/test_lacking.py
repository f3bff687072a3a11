"""Whether too few nodes can hold a write, and what is said of that."""

from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.node.clock import now_ms
from nexus.node.roles.lacking import lack_of, refusal_for
from nexus.protocol.messages import WalAck
from nexus.replication.effects import Peer
from nexus.replication.master import Master
from nexus.replication.settings import LogExtent, MasterSettings
from replication.examples import MASTER_NODE, ONE_REIGN, hello

END = Offset(10)


def followed(*names: str) -> Master:
    """A master whose quorum is three, and who follows it."""
    extent = LogExtent(Offset(1), END)
    settings = MasterSettings(quorum=3)
    found = Master(MASTER_NODE, settings, ONE_REIGN, extent, now_ms())
    for name in names:
        found.hello(Peer(name), hello(10, node_id=NodeId(name)), now_ms())
    return found


def test_nothing_is_said_while_enough_nodes_are_there() -> None:
    assert lack_of(followed("b", "c")) == ""


def test_it_is_said_how_many_are_there_and_how_many_it_takes() -> None:
    lack = lack_of(followed("b"))

    assert lack == "2 of 3 can hold a write"
    assert str(refusal_for(lack)).endswith(
        "nothing happened, try again when replicas have returned"
    )


def test_a_witness_that_is_full_is_named() -> None:
    master = followed("b", "w")

    master.receive(Peer("w"), WalAck(END, Offset(0), full=True), now_ms())

    assert lack_of(master).startswith(
        "2 of 3 can hold a write, the log of the witness w"
    )


def test_a_replica_without_space_is_named() -> None:
    master = followed("b", "c")

    master.receive(Peer("c"), WalAck(END, Offset(0), no_space=True), now_ms())

    assert lack_of(master) == (
        "2 of 3 can hold a write, c has no space on its disk: make some there"
    )
