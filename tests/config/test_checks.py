"""What no configuration may combine."""

from typing import Any

import pytest

from nexus.config import Config, load
from nexus.errors import ConfigurationError


def loaded(**flags: Any) -> Config:
    return load(None, {}, {key.replace("__", "."): flags[key] for key in flags})


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ({"replication__role": "witness"}, ["'witness'", "replica"]),
        ({"replication__peers": "a:1,b:2"}, ["'a:1,b:2'", "master_addr"]),
        ({"replication__coordinator": "etcd"}, ["'etcd'", "nexus promote"]),
        ({"replication__coordinator": "quorum"}, ["'quorum'", "manual"]),
    ],
)
def test_what_is_not_built_yet_is_refused_rather_than_ignored(
    flags: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(ConfigurationError, match="not built in this version") as caught:
        loaded(**flags)

    for part in parts:
        assert part in str(caught.value)


def test_a_replica_needs_a_master() -> None:
    with pytest.raises(ConfigurationError, match="no master to follow"):
        loaded(replication__role="replica")


@pytest.mark.parametrize("role", ["master", "standalone"])
def test_only_a_replica_has_a_master(role: str) -> None:
    with pytest.raises(ConfigurationError, match="'a:1' is for replicas"):
        loaded(replication__role=role, replication__master_addr="a:1")


def test_a_replica_does_not_follow_itself() -> None:
    with pytest.raises(ConfigurationError, match="own"):
        loaded(
            replication__role="replica",
            replication__master_addr="127.0.0.1:9",
            replication__bind_addr="127.0.0.1:9",
        )


def test_the_two_ports_differ_unless_the_system_chooses_them() -> None:
    with pytest.raises(ConfigurationError, match="a port of its own"):
        loaded(http_addr="127.0.0.1:9", replication__bind_addr="127.0.0.1:9")

    loaded(http_addr="127.0.0.1:0", replication__bind_addr="127.0.0.1:0")


@pytest.mark.parametrize("key", ["http_addr", "replication__bind_addr"])
@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "[::]", "", "db.example"])
def test_beyond_loopback_a_secret_is_needed(key: str, host: str) -> None:
    address = {key: f"{host}:7"}

    with pytest.raises(ConfigurationError, match="NEXUS_CLUSTER_SECRET"):
        loaded(**address)

    loaded(**address, cluster_secret="hush")
    loaded(**address, insecure=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
def test_loopback_needs_no_secret(host: str) -> None:
    assert loaded(http_addr=f"{host}:7").http_addr == f"{host}:7"
