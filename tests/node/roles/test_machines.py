"""A node's machines get their bounds from its settings."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from nexus.config import ReplicationSettings
from nexus.model.cluster import Mode
from nexus.node.parts import Parts
from nexus.node.roles.machines import (
    hold_bytes,
    is_crowded,
    member_settings,
    spread_ms,
    sync_quorum,
)
from node.builders import Crowd, crowd_in


@pytest.mark.parametrize(
    ("mode", "configured", "quorum"),
    [
        (Mode.ASYNC, None, 1),
        (Mode.ASYNC, 3, 1),
        (Mode.SYNC, None, 2),
        (Mode.SYNC, 3, 3),
    ],
)
def test_without_voters_the_master_and_any_replica_are_a_quorum(
    mode: Mode, configured: int | None, quorum: int
) -> None:
    settings = ReplicationSettings(sync_quorum=configured)
    assert sync_quorum(settings, mode) == quorum


@pytest.mark.parametrize(
    ("heartbeat_ms", "spread"), [(10, 50), (100, 150), (5_000, 1_000)]
)
def test_electors_wait_a_while_more_that_fits_their_dead_time(
    heartbeat_ms: int, spread: int
) -> None:
    assert spread_ms(ReplicationSettings(heartbeat_ms=heartbeat_ms)) == spread


async def test_a_member_is_as_patient_as_its_node_is_configured(
    tmp_path: Path,
) -> None:
    async with crowd_in(tmp_path) as crowd:
        assert isinstance(crowd, Crowd)
        node = await crowd.node(
            "n", replication__heartbeat_ms=200, replication__missed_heartbeats=3
        )
        bounds = member_settings(node._parts)
        assert bounds.election.dead_after_ms == 600
        assert bounds.election.stands
        assert bounds.replica.retry_first_ms == 200
        assert bounds.sync_quorum == 0


@pytest.mark.parametrize(("hold_size", "bound"), [(1, 4 << 20), (1 << 30, 1 << 30)])
def test_a_witness_has_room_for_a_few_files_of_its_log_at_least(
    hold_size: int, bound: int
) -> None:
    settings = ReplicationSettings(max_log_size=8, hold_size=hold_size)
    config = SimpleNamespace(replication=settings)

    def with_log(size_bytes: int, *, is_witness: bool) -> Parts:
        log = SimpleNamespace(size_bytes=size_bytes)
        parts = SimpleNamespace(config=config, log=log, is_witness=is_witness)
        return cast("Parts", parts)

    assert hold_bytes(with_log(0, is_witness=True)) == bound
    assert hold_bytes(with_log(0, is_witness=False)) == 0
    assert is_crowded(with_log(bound, is_witness=True))
    assert not is_crowded(with_log(bound // 2, is_witness=True))
    assert not is_crowded(with_log(bound, is_witness=False))
