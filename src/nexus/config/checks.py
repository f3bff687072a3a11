"""What no configuration may combine."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from nexus.config.settings import Config, ReplicationSettings, TlsSettings
from nexus.config.values import is_loopback, split_address
from nexus.errors import ConfigurationError
from nexus.model.cluster import Mode, Role

EXPOSURE_MEND: Final = (
    "set NEXUS_CLUSTER_SECRET or cluster_secret_file to the same secret on every "
    "node, or accept the risk with --insecure"
)


def check(config: Config) -> None:
    """Raise ConfigurationError with the first reason why a node cannot start so."""
    _check_etcd(config.replication)
    _check_roles(config.replication)
    _check_peers(config.replication)
    _check_addresses(config)
    _check_exposure(config)
    _check_archive(config)
    _check_databases(config)
    _check_tls(config.tls)


def _check_databases(config: Config) -> None:
    names = config.databases
    if len(set(names)) < len(names):
        raise ConfigurationError(
            f"databases = '{','.join(names)}' has a name twice; name each once"
        )


def _check_etcd(settings: ReplicationSettings) -> None:
    """What goes with etcd, and what goes only with it."""
    for no, mend in _etcd_faults(settings):
        if no:
            raise ConfigurationError(mend)


def _etcd_faults(settings: ReplicationSettings) -> Iterator[tuple[bool, str]]:
    etcd = settings.coordinator == "etcd"
    endpoints = ",".join(settings.etcd_endpoints)
    yield (
        bool(endpoints) and not etcd,
        f"replication.etcd_endpoints = '{endpoints}' is not used with "
        f"replication.coordinator = '{settings.coordinator}'; set that to etcd, or "
        "remove it",
    )
    yield (
        etcd and not endpoints,
        "replication.coordinator = 'etcd' does not say which; set "
        "replication.etcd_endpoints to the URLs of its members",
    )
    yield (
        etcd and settings.role not in (Role.MASTER, Role.REPLICA),
        f"replication.role = '{settings.role}' does not go with "
        "replication.coordinator = 'etcd'; set it to replica, or to master on the node "
        "that begins the cluster",
    )
    yield (
        etcd and settings.mode is not Mode.SYNC,
        f"replication.mode = '{settings.mode}' does not go with "
        "replication.coordinator = 'etcd', which lets only a node take over that "
        "holds all that was acknowledged; set it to sync",
    )
    yield (
        etcd and bool(settings.peers),
        f"replication.peers = '{','.join(settings.peers)}' are voters, but "
        "replication.coordinator = 'etcd' asks no voters; remove it",
    )
    yield (
        etcd and settings.master_addr is not None,
        f"replication.master_addr = '{settings.master_addr}' is not used with "
        "replication.coordinator = 'etcd', which tells who the master is; remove it",
    )
    yield (
        etcd and _names_every(settings.bind_addr),
        f"replication.bind_addr = '{settings.bind_addr}' names every address of this "
        "machine, and with replication.coordinator = 'etcd' it is what others read in "
        "etcd to dial this node; set it to the one HOST:PORT by which they reach it",
    )
    yield from _etcd_credential_faults(settings)


def _etcd_credential_faults(
    settings: ReplicationSettings,
) -> Iterator[tuple[bool, str]]:
    yield (
        bool(settings.etcd_password) and not settings.etcd_user,
        "replication.etcd_password is set, but replication.etcd_user is not; set both",
    )
    yield (
        (settings.etcd_cert_file is None) is not (settings.etcd_key_file is None),
        "replication.etcd_cert_file and etcd_key_file go together; set both",
    )


def _check_roles(settings: ReplicationSettings) -> None:
    if settings.coordinator == "etcd":
        return
    follows = settings.master_addr is not None or bool(settings.peers)
    if settings.role in (Role.REPLICA, Role.WITNESS) and not follows:
        raise ConfigurationError(
            f"replication.role = '{settings.role}' has no master to follow; set "
            "replication.master_addr to the master's HOST:PORT, or replication.peers "
            "to the addresses of all voters"
        )
    if settings.role in (Role.MASTER, Role.STANDALONE) and settings.master_addr:
        raise ConfigurationError(
            f"replication.master_addr = '{settings.master_addr}' is for replicas, but "
            f"replication.role = '{settings.role}'; remove it, or set "
            "replication.role to replica"
        )
    if settings.cascade and (settings.role is not Role.REPLICA or settings.peers):
        raise ConfigurationError(
            "replication.cascade = true is for a replica that does not vote: set "
            "replication.role to replica and replication.master_addr to the replica "
            "to follow, and remove replication.peers; or remove it"
        )
    if settings.max_receive_rate and settings.peers:
        raise ConfigurationError(
            f"replication.max_receive_rate = {settings.max_receive_rate} would delay "
            "the heartbeats of a voter; remove it, or replication.peers"
        )
    if settings.coordinator == "quorum" and not follows:
        raise ConfigurationError(
            "replication.coordinator = 'quorum' has nobody to elect with; set "
            "replication.peers to the addresses of all voters"
        )


def _check_peers(settings: ReplicationSettings) -> None:
    """What can be said of the list before anybody was asked."""
    peers, own = settings.peers, settings.bind_addr
    if len(set(peers)) < len(peers):
        raise ConfigurationError(
            f"replication.peers = '{','.join(peers)}' names an address twice; name "
            "each voter once"
        )
    if peers and not any(_may_be(own, peer) for peer in peers):
        raise ConfigurationError(
            f"replication.peers = '{','.join(peers)}' does not contain this node, "
            f"whose replication.bind_addr is {own}; list every voter on every voter"
        )
    if settings.sync_quorum is not None and peers and settings.sync_quorum > len(peers):
        raise ConfigurationError(
            f"replication.sync_quorum = {settings.sync_quorum} is more than the "
            f"{len(peers)} voters of replication.peers; lower it"
        )


def _names_every(address: str) -> bool:
    """Whether it is no address for others: what listens there listens on all."""
    host, _ = split_address(address)
    try:
        return not host or ip_address(host).is_unspecified
    except ValueError:
        return False


def _may_be(own: str, peer: str) -> bool:
    """Whether others may reach by `peer` what listens on `own`."""
    own_host, own_port = split_address(own)
    host, port = split_address(peer)
    if own_port and port != own_port:
        return False
    try:
        listens, named = ip_address(own_host), ip_address(host)
    except ValueError:
        return True  # a name says nothing here
    return listens.is_unspecified or listens == named


def _check_addresses(config: Config) -> None:
    http, bind = config.http_addr, config.replication.bind_addr
    if http.endswith("]") or ":" not in http:
        # The port that an address has by default is the other one's.
        raise ConfigurationError(
            f"http_addr = '{http}' has no port; write HOST:PORT, like 127.0.0.1:15474"
        )
    if split_address(http) == split_address(bind) and split_address(http)[1]:
        raise ConfigurationError(
            f"http_addr and replication.bind_addr = '{http}' are the same; give each "
            "a port of its own"
        )
    master = config.replication.master_addr
    if master is not None and master == bind and split_address(master)[1]:
        raise ConfigurationError(
            f"replication.master_addr = '{master}' is this node's own "
            "replication.bind_addr; name the master's"
        )


def _check_exposure(config: Config) -> None:
    if config.cluster_secret or config.insecure:
        return
    addresses = {
        "http_addr": config.http_addr,
        "replication.bind_addr": config.replication.bind_addr,
    }
    for key, address in addresses.items():
        if not is_loopback(address):
            raise ConfigurationError(
                f"{key} = '{address}' is reachable from other machines, and there is "
                f"no cluster secret; {EXPOSURE_MEND}"
            )


def _check_tls(settings: TlsSettings) -> None:
    """Half of it is none: a port that should be protected would speak plainly."""
    if (settings.cert_file is None) is not (settings.key_file is None):
        raise ConfigurationError("tls.cert_file and tls.key_file go together; set both")
    if settings.ca_file is not None and settings.cert_file is None:
        raise ConfigurationError(
            f"tls.ca_file = '{settings.ca_file}' needs tls.cert_file and tls.key_file: "
            "this node's own certificate; set them too"
        )
    if settings.crl_file is not None and settings.ca_file is None:
        raise ConfigurationError(
            f"tls.crl_file = '{settings.crl_file}' needs tls.ca_file: the CA that has "
            "signed it; set it too"
        )
    if settings.mode == "optional":
        _check_optional(settings)
    if settings.client_certs == "required" and settings.ca_file is None:
        raise ConfigurationError(
            "tls.client_certs = 'required' does not say whose certificates; set "
            "tls.ca_file to the CA that signs them"
        )


def _check_optional(settings: TlsSettings) -> None:
    if settings.cert_file is None:
        raise ConfigurationError(
            "tls.mode = 'optional' has no TLS to offer; set tls.cert_file and "
            "tls.key_file, or remove it"
        )
    if settings.client_certs == "required":
        raise ConfigurationError(
            "tls.mode = 'optional' serves who has no certificate, and tls.client_certs "
            "= 'required' does not; set one of them first, the other when every node "
            "speaks TLS"
        )


def _check_archive(config: Config) -> None:
    if config.archive.seed and not config.archive.url:
        raise ConfigurationError(
            "archive.seed = true has no archive to begin from; set archive.url"
        )
