"""A killed master and a switchover are measured by what clients are answered."""

import time
from pathlib import Path

from nexus.cli.bench.failover import HEARTBEAT_MS, electing, hand_over, kill_masters


def test_a_dead_master_is_missed_for_a_dead_time_and_a_switchover_is_a_gap_too(
    tmp_path: Path,
) -> None:
    with electing(tmp_path) as nodes:
        (dead_s,) = kill_masters(nodes, 1)
        began = time.monotonic()
        (gap_s,) = hand_over(nodes, 1)
        took_s = time.monotonic() - began

    assert dead_s > HEARTBEAT_MS / 1000, "a dead-time passes first"
    assert 0 < gap_s < took_s
