"""What can be lost by a setting is said when the node starts."""

from typing import Any

import pytest

from nexus.config import load
from nexus.config.advice import advice

THREE = "127.0.0.1:15475,127.0.0.1:2,127.0.0.1:3"
LATE = {"role": "replica", "master_addr": "127.0.0.1:2"}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({}, []),
        ({"peers": THREE, "mode": "sync"}, []),
        ({"peers": THREE, "mode": "sync", "sync_quorum": 2}, []),
        ({"peers": THREE, "mode": "async", "sync_quorum": 1}, []),
        ({"peers": THREE, "mode": "sync", "sync_quorum": 1}, ["below a majority"]),
        ({"peers": THREE + ",127.0.0.1:4"}, ["no more failures than 3"]),
        ({"mode": "sync", "sync_quorum": 1}, ["this node alone"]),
        ({"mode": "sync", "sync_quorum": 2}, []),
        ({**LATE, "apply_delay_ms": 59_999}, []),
        ({**LATE, "apply_delay_ms": 60_000}, ["nothing else bounds it"]),
    ],
)
def test_only_what_is_unwise_is_warned_of(
    flags: dict[str, Any], told: list[str]
) -> None:
    config = load(
        None, {}, {f"replication.{name}": value for name, value in flags.items()}
    )
    warnings = list(advice(config))
    assert len(warnings) == len(told)
    for warning, part in zip(warnings, told, strict=True):
        assert part in warning
