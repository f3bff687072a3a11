"""What stands in etcd: who reigns, and who holds all that was acknowledged."""

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch


class LeaderKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key that one node holds, and that goes with its lease."""

    node_id: NodeId
    address: str
    """Where replicas find it."""
    lease_id: int
    revision: int
    """Of its creation: no other leader key ever had or will have the same."""


class SyncedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes that are known to hold every acknowledged entry."""

    nodes: tuple[NodeId, ...]
    epoch_base: Epoch = Epoch(0)
    """The founder's epoch: added to etcd's revisions, which may begin below it."""
    handed_over: Epoch = Epoch(0)
    """The epoch that ends in a switchover to the other node of the list; 0: none."""
    revision: int = 0
    """Of its last change."""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """All keys, read in one transaction that etcd's majority confirmed."""

    leader: LeaderKey | None = None
    synced: SyncedKey | None = None
    rests: bool = False
    """Maintenance: only whom an operator promotes takes the leader key."""

    def address_but(self, node_id: NodeId) -> str:
        """Where the master is; empty where there is none but this node."""
        other = self.leader is not None and self.leader.node_id != node_id
        return self.leader.address if self.leader is not None and other else ""

    def held(self, leader: LeaderKey, synced: SyncedKey) -> "Keys":
        """These two as they are now, and the rest as it was read."""
        return Keys(leader=leader, synced=synced, rests=self.rests)
