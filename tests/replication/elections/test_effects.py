from nexus.model.cluster import NodeId
from nexus.replication.elections.effects import ElectionSettings


def test_the_dead_time_is_so_many_missed_heartbeats() -> None:
    settings = ElectionSettings(
        node_id=NodeId("a"), cluster_id="c", heartbeat_ms=50, missed_heartbeats=3
    )

    assert settings.dead_after_ms == 150


def test_the_defaults_fail_over_within_seventeen_seconds() -> None:
    settings = ElectionSettings(node_id=NodeId("a"), cluster_id="c")

    assert settings.dead_after_ms + settings.spread_ms <= 17_000
