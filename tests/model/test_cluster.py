"""What status calls report has the names of the interface."""

from nexus.model.cluster import (
    LinkState,
    MasterStats,
    Mode,
    NodeStatus,
    Outcome,
    ReplicaStats,
    ReplicaStatus,
    Role,
)


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def test_the_status_has_the_fields_of_the_interface() -> None:
    assert NodeStatus.__struct_fields__ == words(
        "role running mode connected node_id cluster_id epoch wal_offset "
        "durable_offset applied_offset commit_offset lag lag_seconds replica_count "
        "master_id master_url state paused auto_failover has_database failovers "
        "last_error archive apply_delay_ms held_back upstream_id "
        "certificate_expires revocation_list_ends"
    )


def test_the_stats_have_the_fields_of_the_interface() -> None:
    assert MasterStats.__struct_fields__ == words(
        "entries_replicated bytes_sent connected_replicas healthy_replicas log_size "
        "current_offset sync_acks sync_timeouts snapshot_transfers "
        "rejected_connections"
    )
    assert ReplicaStats.__struct_fields__ == words(
        "entries_received entries_applied bytes_received current_offset lag "
        "lag_seconds reconnects connected master_id full_syncs rewinds "
        "apply_conflicts"
    )


def test_a_replicas_row_has_the_fields_of_the_interface() -> None:
    assert ReplicaStatus.__struct_fields__ == words(
        "id addr http_url voter last_ack_offset applied_offset lag lag_seconds "
        "healthy connected_seconds bytes_sent state apply_delay_ms full no_space"
    )


def test_the_words_are_those_of_the_interface() -> None:
    assert {role.value for role in Role} == {
        "standalone",
        "master",
        "replica",
        "witness",
    }
    assert {mode.value for mode in Mode} == {"async", "sync"}
    assert {outcome.value for outcome in Outcome} == {
        "committed",
        "refused",
        "unknown",
    }
    assert {state.value for state in LinkState} >= {
        "streaming",
        "full_sync",
        "rewinding",
        "reconnecting",
        "electing",
        "paused",
        "stopped",
    }
