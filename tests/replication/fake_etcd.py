"""An etcd of one process: revisions, leases on a clock of its own, two keys."""

from dataclasses import dataclass, field

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.replication.etcd.effects import ChangeList, TakeKey
from nexus.replication.etcd.keys import Keys, LeaderKey, SyncedKey


@dataclass
class FakeEtcd:
    """As etcd behaves: each call is one transaction, at one moment."""

    now_ms: int = 0
    revision: int = 1
    keys: Keys = field(default_factory=Keys)
    leases: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By id: when it ends, and how long it is."""
    _ids: int = 0

    def advance(self, elapsed_ms: int) -> None:
        self.now_ms += elapsed_ms
        for lease_id, (end_ms, _) in list(self.leases.items()):
            if end_ms <= self.now_ms:
                self.revoke(lease_id)

    def grant(self, ttl_s: int) -> int:
        self._ids += 1
        self.leases[self._ids] = (self.now_ms + ttl_s * 1000, ttl_s * 1000)
        return self._ids

    def renew(self, lease_id: int) -> int:
        """Milliseconds that it lasts; 0 if it is gone."""
        if lease_id not in self.leases:
            return 0
        ttl_ms = self.leases[lease_id][1]
        self.leases[lease_id] = (self.now_ms + ttl_ms, ttl_ms)
        return ttl_ms

    def revoke(self, lease_id: int) -> None:
        self.leases.pop(lease_id, None)
        leader = self.keys.leader
        if leader is not None and leader.lease_id == lease_id:
            self.revision += 1
            self.keys = Keys(synced=self.keys.synced)

    def take(self, node: NodeId, order: TakeKey) -> bool:
        synced = self.keys.synced
        revision = 0 if synced is None else synced.revision
        if self.keys.leader is not None or order.synced.revision != revision:
            return False
        if order.lease_id not in self.leases:
            return False
        self.revision += 1
        leader = LeaderKey(
            node_id=node,
            address=node,
            lease_id=order.lease_id,
            revision=self.revision,
        )
        if synced is None:
            synced = SyncedKey(
                nodes=order.synced.nodes,
                epoch_base=order.synced.epoch_base,
                revision=self.revision,
            )
        self.keys = Keys(leader=leader, synced=synced)
        return True

    def change(self, order: ChangeList) -> bool:
        leader, synced = self.keys.leader, self.keys.synced
        if leader is None or leader.revision != order.leader.revision:
            return False
        if synced is None or synced.revision != order.before.revision:
            return False
        self._list(order.nodes, synced, order.handed_over)
        return True

    def renounce(self, node: NodeId) -> None:
        """The node takes itself out; the list changes even if it was not in it."""
        synced = self.keys.synced
        if synced is not None:
            self._list(tuple(one for one in synced.nodes if one != node), synced)

    def _list(
        self,
        nodes: tuple[NodeId, ...],
        before: SyncedKey,
        handed_over: int = 0,
    ) -> None:
        self.revision += 1
        synced = SyncedKey(
            nodes=nodes,
            epoch_base=before.epoch_base,
            handed_over=Epoch(handed_over),
            revision=self.revision,
        )
        self.keys = Keys(leader=self.keys.leader, synced=synced)
