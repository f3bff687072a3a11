"""What no configuration may combine."""

from typing import Any

import pytest

from nexus.config import Config, load
from nexus.errors import ConfigurationError


def loaded(**flags: Any) -> Config:
    return load(None, {}, {key.replace("__", "."): flags[key] for key in flags})


UNDER_ETCD = {
    "replication__coordinator": "etcd",
    "replication__etcd_endpoints": "http://a:2379,https://b:2379/",
    "replication__mode": "sync",
    "replication__role": "replica",
}


def test_a_node_under_etcd_needs_no_master_and_no_peers() -> None:
    settings = loaded(**UNDER_ETCD).replication

    assert settings.etcd_endpoints == ("http://a:2379", "https://b:2379/")
    assert settings.etcd_prefix == "/nexus"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"etcd_endpoints": ""}, "does not say which"),
        ({"coordinator": "manual"}, "is not used with replication.coordinator"),
        ({"role": "standalone"}, "does not go with replication.coordinator = 'etcd'"),
        ({"mode": "async"}, "lets only a node take over that holds all"),
        ({"peers": "127.0.0.1:15475"}, "asks no voters"),
        ({"master_addr": "a:1"}, "tells who the master is"),
        ({"bind_addr": "0.0.0.0:1"}, "by which they reach it"),
        ({"bind_addr": "[::]:1"}, "by which they reach it"),
        ({"etcd_password": "x"}, "etcd_user is not"),
        ({"etcd_cert_file": "own.pem"}, "go together"),
        ({"etcd_endpoints": "a:2379"}, "write URLs"),
        ({"etcd_prefix": "nexus"}, "write a path"),
    ],
)
def test_what_does_not_go_with_etcd_is_refused(
    change: dict[str, str], reason: str
) -> None:
    changed = {f"replication__{key}": value for key, value in change.items()}

    with pytest.raises(ConfigurationError, match=reason):
        loaded(**{**UNDER_ETCD, **changed})


@pytest.mark.parametrize("address", ["localhost", "10.0.0.1", "[::1]"])
def test_the_http_address_has_a_port(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no port; write HOST:PORT"):
        loaded(http_addr=address)


@pytest.mark.parametrize("role", ["replica", "witness"])
def test_a_replica_needs_a_master_or_voters(role: str) -> None:
    with pytest.raises(ConfigurationError, match="no master to follow"):
        loaded(replication__role=role)
    loaded(replication__role=role, replication__master_addr="a:1")
    loaded(replication__role=role, replication__peers="a:15475,b:1")


def test_an_election_needs_voters() -> None:
    with pytest.raises(ConfigurationError, match="nobody to elect with"):
        loaded(replication__coordinator="quorum")
    loaded(replication__coordinator="quorum", replication__peers="127.0.0.1:15475")


@pytest.mark.parametrize(
    ("own", "peers"),
    [
        ("127.0.0.1:5", "127.0.0.1:6,127.0.0.1:7,127.0.0.1:8"),
        ("127.0.0.1:5", "127.0.0.2:5,127.0.0.3:5,127.0.0.4:5"),
    ],
)
def test_a_list_of_voters_without_this_node_is_refused_in_one_line(
    own: str, peers: str
) -> None:
    with pytest.raises(ConfigurationError, match="does not contain this node") as told:
        loaded(replication__bind_addr=own, replication__peers=peers)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("own", "peers"),
    [
        ("127.0.0.1:5", "127.0.0.1:5,127.0.0.1:7"),
        ("0.0.0.0:5", "10.0.0.1:5,10.0.0.2:5"),
        ("127.0.0.1:0", "127.0.0.1:5,127.0.0.1:7"),
        ("db1:5", "10.0.0.1:5,10.0.0.2:5"),
    ],
)
def test_a_list_that_may_contain_this_node_is_taken(own: str, peers: str) -> None:
    found = loaded(replication__bind_addr=own, replication__peers=peers, insecure=True)

    assert len(found.replication.peers) == peers.count(",") + 1


def test_voters_are_named_once_and_hold_what_the_quorum_asks_for() -> None:
    with pytest.raises(ConfigurationError, match="names an address twice"):
        loaded(replication__peers="127.0.0.1:15475,127.0.0.1:15475")
    with pytest.raises(ConfigurationError, match="more than the 2 voters"):
        loaded(
            replication__peers="127.0.0.1:15475,127.0.0.1:7", replication__sync_quorum=3
        )


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


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"tls__cert_file": "a.crt"}, "tls.cert_file and tls.key_file go together"),
        ({"tls__key_file": "a.key"}, "go together; set both"),
        ({"tls__ca_file": "ca.crt"}, "needs tls.cert_file and tls.key_file"),
        (
            {
                "tls__cert_file": "a.crt",
                "tls__key_file": "a.key",
                "tls__client_certs": "required",
            },
            "does not say whose certificates; set tls.ca_file",
        ),
        (
            {
                "tls__cert_file": "a.crt",
                "tls__key_file": "a.key",
                "tls__crl_file": "ca.crl",
            },
            "needs tls.ca_file: the CA that has signed it",
        ),
        ({"tls__mode": "optional"}, "has no TLS to offer; set tls.cert_file"),
        (
            {
                "tls__cert_file": "a.crt",
                "tls__key_file": "a.key",
                "tls__ca_file": "ca.crt",
                "tls__client_certs": "required",
                "tls__mode": "optional",
            },
            "set one of them first",
        ),
    ],
)
def test_half_of_a_tls_configuration_is_refused(
    given: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        loaded(**given)
    assert "\n" not in str(caught.value)


def test_a_whole_tls_configuration_is_taken() -> None:
    files = {f"tls__{name}_file": name for name in ("cert", "key", "ca", "crl")}

    assert loaded(**files, tls__client_certs="required").tls.client_certs == "required"


@pytest.mark.parametrize(
    "flags",
    [
        {"replication__role": "master"},
        {
            "replication__role": "replica",
            "replication__peers": "127.0.0.1:15475,127.0.0.1:1,127.0.0.1:2",
        },
    ],
)
def test_only_a_replica_without_a_vote_follows_a_replica(flags: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"replication.cascade = true is for"):
        loaded(replication__cascade=True, **flags)

    follows = {"replication__role": "replica", "replication__master_addr": "a:1"}
    assert loaded(replication__cascade=True, **follows).replication.cascade


def test_a_voter_is_not_slowed_down() -> None:
    peers = "127.0.0.1:15475,127.0.0.1:1,127.0.0.1:2"
    flags = {"replication__role": "replica", "replication__max_receive_rate": "1MiB"}

    with pytest.raises(ConfigurationError, match="1048576 would delay the heartbeats"):
        loaded(replication__peers=peers, **flags)

    follows = loaded(replication__master_addr="a:1", **flags)
    assert follows.replication.max_receive_rate == 1 << 20
