"""A killed master and a switchover are measured by what clients are answered."""

from pathlib import Path

from nexus.cli.bench.failover import HEARTBEAT_MS, electing, hand_over, kill_masters


def test_a_dead_master_is_missed_for_a_dead_time_and_a_switchover_is_a_gap_too(
    tmp_path: Path,
) -> None:
    with electing(tmp_path) as nodes:
        (dead_s,) = kill_masters(nodes, 1)
        (gap_s,) = hand_over(nodes, 1)

    assert dead_s > HEARTBEAT_MS / 1000, "a dead-time passes first"
    assert 0 < gap_s < dead_s + 1
