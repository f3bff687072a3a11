"""What a node answers while its duty is another one than was asked for."""

from msgspec.structs import replace

from nexus.config import load
from nexus.model.cluster import NodeId, Role
from nexus.model.position import Epoch, EpochHistory, Offset
from nexus.node.duties import Duties
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import introduce
from nexus.protocol.messages import VOTES, Error, ErrorCode, Hello
from nexus.replication.effects import StepDown
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.settings import Identity
from node.builders import Crowd, address_of, until


def hello(*features: str) -> Hello:
    identity = Identity(
        node_id=NodeId("x"), cluster_id="", address="", features=features
    )
    return hello_of(identity, EpochHistory(), Offset(0), epoch=Epoch(0))


async def test_a_node_without_voters_has_no_vote_to_give(crowd: Crowd) -> None:
    node = await crowd.node("n")
    connection = await Connection.open(address_of(node), timeout_s=60)
    answer = await introduce(connection, hello(VOTES), "", timeout_s=60)
    await connection.close()
    assert isinstance(answer, Error)
    assert answer.code == ErrorCode.BUSY


async def test_before_it_is_open_a_node_sends_visitors_away() -> None:
    answer = Duties(load(None, {}, {})).visited(hello())
    assert answer.code == ErrorCode.NOT_MASTER


async def test_a_new_master_is_asked_to_come_again_where_nobody_can_follow_it_yet(
    crowd: Crowd,
) -> None:
    node = await crowd.node("n")
    said = replace(hello(), address="b:1", master_addr="b:1", epoch=Epoch(9))
    await node._duties.leave()

    answer = node._duties.visited(said)

    assert answer.code == ErrorCode.STOPPING
    assert "say it again" in answer.message
    await node._duties.begin()


async def test_who_is_deposed_keeps_it_before_the_announcement_is_answered(
    crowd: Crowd,
) -> None:
    node = await crowd.node("n")
    order = StepDown(Epoch(9), "127.0.0.1:1", "met")

    node._duties.step_down(order)  # and a kill -9 may come now

    state = node._parts.state
    assert (state.role, state.epoch) == (Role.REPLICA, 9)
    assert state.master_addr == order.master_addr
    await until(lambda: node.status().role is Role.REPLICA)
    assert node._parts.state.master_addr == order.master_addr
