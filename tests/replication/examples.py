"""Values that several tests of the machines need."""

from typing import Any

from msgspec.structs import replace

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Reign
from nexus.protocol.messages import Hello, Plan, WalEntry, Welcome
from nexus.replication.effects import Peer
from nexus.replication.settings import Identity

PEER = Peer("b#1")
MASTER_NODE = Identity(node_id=NodeId("a"), cluster_id="cluster", address="a:1")
REPLICA_NODE = Identity(node_id=NodeId("b"), cluster_id="cluster", address="b:1")


def history(*reigns: tuple[int, str, int]) -> EpochHistory:
    """From (epoch, history id, first offset), each reigned by the id's first letter."""
    return EpochHistory(
        tuple(
            Reign(Epoch(epoch), HistoryId(name), name[0], Offset(first), 0, "promote")
            for epoch, name, first in reigns
        )
    )


ONE_REIGN = history((1, "a1", 1))
TWO_REIGNS = history((1, "a1", 1), (2, "b2", 11))


def hello(end: int = 0, of: EpochHistory = ONE_REIGN, **changes: Any) -> Hello:
    """From node b, whose log holds the first `end` entries of a history."""
    known = of.truncated_after(Offset(end))
    said = Hello(
        protocol_least=1,
        protocol_most=1,
        cluster_id="cluster",
        history=known,
        node_id=NodeId("b"),
        address="b:1",
        http_url="http://b:2",
        epoch=known.epoch,
        position=known.position_at(Offset(end)),
    )
    return replace(said, **changes)


def welcome(
    from_offset: int = 0,
    current: int = 10,
    of: EpochHistory = ONE_REIGN,
    **changes: Any,
) -> Welcome:
    """From node a, which streams from an offset and has committed all."""
    said = Welcome(
        master_id=NodeId("a"),
        cluster_id="cluster",
        epoch=of.epoch,
        current_offset=Offset(current),
        commit_offset=Offset(current),
        page_size=4096,
        encoding="UTF-8",
        plan=Plan.STREAM,
        from_offset=Offset(from_offset),
        history=of,
        heartbeat_ms=1_000,
    )
    return replace(said, **changes)


def entry(
    offset: int, commit: int | None = None, of: EpochHistory = ONE_REIGN
) -> WalEntry:
    """The entry of a history at an offset, committed unless told otherwise."""
    position = of.position_at(Offset(offset))
    return WalEntry(
        position.offset,
        position.epoch,
        position.history_id,
        Offset(offset if commit is None else commit),
        f"entry {offset}".encode(),
    )
