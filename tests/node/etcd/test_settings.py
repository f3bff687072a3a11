"""The lease, and how patiently etcd is asked within it."""

from pathlib import Path

import pytest

from nexus.config import ReplicationSettings
from nexus.node.etcd.settings import etcd_settings, lease_ttl_s


@pytest.mark.parametrize(("heartbeat_ms", "ttl_s"), [(100, 2), (900, 3), (5_000, 15)])
def test_a_lease_lasts_a_dead_time_and_two_seconds_at_least(
    heartbeat_ms: int, ttl_s: int
) -> None:
    assert lease_ttl_s(ReplicationSettings(heartbeat_ms=heartbeat_ms)) == ttl_s


def test_several_silent_members_of_etcd_can_be_asked_within_one_lease() -> None:
    settings = etcd_settings(
        ReplicationSettings(
            etcd_ca_file=Path("ca.pem"),
            etcd_cert_file=Path("own.pem"),
            etcd_key_file=Path("own.key"),
        )
    )

    assert settings.timeout_s == 2.5
    assert settings.ca_file == "ca.pem"
    assert (settings.cert_file, settings.key_file) == ("own.pem", "own.key")
