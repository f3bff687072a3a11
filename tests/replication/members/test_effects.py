"""What a member is told once."""

from nexus.model.cluster import NodeId
from nexus.replication.elections.effects import ElectionSettings
from nexus.replication.members.effects import MemberSettings
from nexus.replication.settings import ReplicaSettings


def test_the_lease_is_shorter_than_the_dead_time() -> None:
    election = ElectionSettings(node_id=NodeId("a"), cluster_id="c", heartbeat_ms=100)

    settings = MemberSettings(election=election, replica=ReplicaSettings(addresses=()))

    assert settings.lease_ms == 270 < election.dead_after_ms
