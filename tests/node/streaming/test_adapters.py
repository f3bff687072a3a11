"""A member has two adapters; the effects of both reach the one queue of its node."""

from nexus.model.cluster import LinkState, NodeId
from nexus.model.position import ORIGIN, EpochHistory, Offset
from nexus.node.chronicle import Chronicle
from nexus.node.clock import now_ms
from nexus.node.roles.machines import member_of
from nexus.node.streaming.adapters import MasterAdapter, ReplicaAdapter
from nexus.protocol.messages import Pong
from nexus.replication.effects import Close, Connect, Disconnect, Peer
from nexus.replication.following.link import SIGN_BYTES
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.members.effects import MemberEffect
from node.builders import Crowd
from node.electing import one_of_two

PEER = Peer("1")


async def test_both_faces_speak_for_the_same_member(crowd: Crowd) -> None:
    node, own, other = await one_of_two(crowd)
    parts = node._parts
    voters = ((node.node_id, own), ("other", other))
    parts.storage.catalog.update(cluster_id="c", voters=voters)
    member = member_of(parts)
    taken: list[MemberEffect] = []
    noticed: list[MemberEffect] = []
    port = MasterAdapter(member, taken.extend)
    link = ReplicaAdapter(member, noticed.extend, lambda: Chronicle(EpochHistory(), ()))

    started = link.start()
    assert [type(effect) for effect in started] == [Connect]
    assert link.state is LinkState.CONNECTING
    assert list(started) == noticed
    assert member.replica is not None
    link.grows(SIGN_BYTES, 7)
    assert member.replica._link._heard_ms == 7
    assert link.stop() == link.tick(0) == port.tick(0) == ()
    assert port.history == member.history
    # While a snapshot is installed the log is further than the member knows of.
    assert port.stored(Offset(9), now_ms()) == ()
    assert not taken

    visitor = node._parts.identity()
    hello = hello_of(visitor, member.history, Offset(0), epoch=member.epoch)
    assert port.hello(PEER, hello, now_ms()) == ()
    assert any(isinstance(effect, Close) for effect in taken)
    for quiet in (
        port.receive(PEER, Pong(1), now_ms()),
        port.disconnected(PEER, now_ms()),
        port.streamed(PEER, Offset(1), 0, now_ms()),
        port.log_gap(PEER, Offset(1), now_ms()),
        port.snapshot_started(PEER, ORIGIN),
        port.snapshot_sent(PEER),
        port.snapshot_failed(PEER, "no", now_ms()),
    ):
        assert quiet == ()
    assert link.connected_to_master(now_ms())
    lost = link.disconnected("gone")
    assert [type(effect) for effect in lost] == [Connect]
    assert not any(isinstance(effect, Disconnect) for effect in lost)
    assert member.elector.epoch == 0
    assert NodeId(node.node_id) in member.voters
