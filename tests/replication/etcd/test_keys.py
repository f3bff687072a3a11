"""What stands in etcd."""

from nexus.model.cluster import NodeId
from nexus.replication.etcd.keys import Keys, LeaderKey, SyncedKey


def test_a_new_leader_or_list_ends_no_maintenance() -> None:
    leader = LeaderKey(node_id=NodeId("a"), address="a:1", lease_id=1, revision=2)
    synced = SyncedKey(nodes=(NodeId("a"),), revision=2)

    assert Keys(rests=True).held(leader, synced) == Keys(
        leader=leader, synced=synced, rests=True
    )
    assert not Keys().held(leader, synced).rests
