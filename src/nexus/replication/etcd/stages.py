"""The stages of a node under etcd, their legal moves, and the bounds it keeps."""

from enum import StrEnum
from typing import Final

import msgspec

from nexus.model.cluster import NodeId


class Stage(StrEnum):
    """Where a node stands; see MOVES."""

    FOLLOWS = "follows"
    LEAVES = "leaves"
    """It stops receiving: what it holds when it takes the key is all it has."""
    GRANTED = "granted"
    """It asks for a lease, then for the key under it."""
    REIGNS = "reigns"
    ENDS = "ends"
    """It acknowledges nothing more; the writer takes back what is not decided."""


MOVES: Final = {
    Stage.FOLLOWS: {Stage.LEAVES},
    Stage.LEAVES: {Stage.GRANTED},
    Stage.GRANTED: {Stage.FOLLOWS, Stage.REIGNS},
    Stage.REIGNS: {Stage.ENDS, Stage.FOLLOWS},
    Stage.ENDS: {Stage.FOLLOWS},
}


LOST_DATA: Final = (
    "etcd's revision makes epoch {epoch}, this node has met {met}: etcd has lost data, "
    "so its list cannot be trusted; set another replication.etcd_prefix on all nodes, "
    "and let the node that reigned last found it"
)


class LeadershipSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds, and what this node may do."""

    node_id: NodeId
    ttl_s: int
    dead_after_ms: int
    poll_ms: int
    quorum: int
    founds: bool = False
    """Whether it may reign first, where there is no list yet."""
    stands: bool = True
    """Whether it takes a free key by itself."""
    drift_percent: int = 10
    """So much of a lease this node does not use: clocks run differently."""
