"""A member by itself: what it is, and the one thing that a test does to it."""

from collections.abc import Iterable
from typing import TypeVar

from nexus.model.cluster import Mode, NodeId
from nexus.model.operation import Configuration
from nexus.model.position import (
    ORIGIN,
    Epoch,
    EpochHistory,
    HistoryId,
    Offset,
    Reign,
)
from nexus.protocol.messages import VoteReply, WalAck
from nexus.replication.effects import Apply, Peer
from nexus.replication.elections.effects import BecomeMaster, ElectionSettings
from nexus.replication.members.effects import (
    MemberEffect,
    MemberEffects,
    MemberSettings,
    RecoveredMember,
)
from nexus.replication.members.electorate import ConfigurationEntry
from nexus.replication.members.member import Member
from nexus.replication.settings import (
    Identity,
    LogExtent,
    MasterSettings,
    ReplicaSettings,
)
from replication.examples import hello

E = TypeVar("E")

HEARTBEAT_MS = 100
DEAD_MS = 300
LEASE_MS = 270


def member(
    *voters: str,
    mode: Mode = Mode.SYNC,
    logged: str = "",
    logged_quorum: int | None = None,
    stands: bool = True,
    sync_quorum: int = 0,
    hold: int = 0,
) -> Member:
    """The first one, just started, at time 0."""
    own = NodeId(voters[0])
    configuration = Configuration(
        "cluster",
        tuple((name, name) for name in voters),
        mode=logged,
        sync_quorum=logged_quorum,
    )
    settings = MemberSettings(
        election=ElectionSettings(
            node_id=own,
            cluster_id="cluster",
            stands=stands,
            heartbeat_ms=HEARTBEAT_MS,
            spread_ms=HEARTBEAT_MS,
        ),
        replica=ReplicaSettings(
            addresses=(), heartbeat_ms=HEARTBEAT_MS, hold_bytes=hold
        ),
        master=MasterSettings(heartbeat_ms=HEARTBEAT_MS),
        mode=mode,
        sync_quorum=sync_quorum,
        witness=not stands,
    )
    recovered = RecoveredMember(
        configurations=(ConfigurationEntry(Offset(0), configuration),)
    )
    identity = Identity(node_id=own, cluster_id="cluster", address=own)
    made = Member(identity, settings, recovered, lambda: 0.0, 0)
    made.start()
    return made


def only(effects: Iterable[MemberEffect], kind: type[E]) -> list[E]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def reigns(one: Member, effects: MemberEffects, now_ms: int) -> list[MemberEffect]:
    """Carry out the BecomeMaster among the effects, up to the first entry's sync."""
    (order,) = [effect for effect in effects if isinstance(effect, BecomeMaster)]
    end = one.history.reigns[-1].first_offset if one.history.reigns else 0
    history_id = HistoryId(f"h{order.epoch}")
    reign = Reign(order.epoch, history_id, "a", Offset(end + 1), 0, order.why)
    log = LogExtent(Offset(1), Offset(end))
    began = one.reign(reign, log, now_ms)
    stored = one.stored(reign.first_offset, now_ms)
    applied = [
        effect
        for order in only(stored, Apply)
        for effect in one.applied(order.up_to, now_ms)
    ]
    return [*began, *stored, *applied]


def elected(*voters: str, sync_quorum: int = 0) -> Member:
    """The first by the vote of the second, its first entry durable on its own disk."""
    one, other = member(*voters, sync_quorum=sync_quorum), NodeId(voters[1])
    one.tick(1_000)
    one.vote(other, VoteReply(Epoch(1), granted=True, pre_vote=True), 1_010)
    won = one.vote(other, VoteReply(Epoch(1), granted=True), 1_020)
    reigns(one, won, 1_030)
    return one


def follows(one: Member, name: str, end: int = 1) -> None:
    """Another node comes, and holds the master's log up to there."""
    peer, stop = Peer(f"{name}#{end}"), Offset(end + 1)
    empty = hello(node_id=NodeId(name), history=EpochHistory(), position=ORIGIN)
    one.hello(peer, empty, 1_040)
    one.streamed(peer, stop, 10, 1_050)
    stored = one.receive(peer, WalAck(Offset(end), Offset(0)), 1_060)
    for order in only(stored, Apply):
        one.applied(order.up_to, 1_070)
