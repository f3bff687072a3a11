"""The settings themselves."""

import msgspec
import pytest

from nexus.config import Config
from nexus.config.loading import SETTINGS


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().http_addr = "x"  # type: ignore[misc]


def test_every_documented_key_is_there() -> None:
    documented = [
        "data_dir",
        "http_addr",
        "replication.role",
        "replication.bind_addr",
        "replication.master_addr",
        "replication.peers",
        "replication.mode",
        "replication.sync_quorum",
        "replication.sync_timeout_ms",
        "replication.heartbeat_ms",
        "replication.missed_heartbeats",
        "replication.connect_timeout_ms",
        "replication.max_log_size",
        "replication.auto_failover",
        "replication.coordinator",
        "snapshot.compression_level",
        "snapshot.max_size",
        "snapshot.chunk_size",
        "snapshot.max_transfers",
    ]
    assert set(documented) <= set(SETTINGS)


def test_a_changed_copy_is_a_config_again() -> None:
    changed = msgspec.structs.replace(Config(), insecure=True)
    assert changed.insecure
