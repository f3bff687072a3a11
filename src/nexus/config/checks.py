"""What no configuration may combine, and what this version cannot do yet."""

from typing import Final

from nexus.config.settings import Config, ReplicationSettings
from nexus.config.values import is_loopback, split_address
from nexus.errors import ConfigurationError
from nexus.model.cluster import Role

EXPOSURE_MEND: Final = (
    "set NEXUS_CLUSTER_SECRET or cluster_secret_file to the same secret on every "
    "node, or accept the risk with --insecure"
)


def check(config: Config) -> None:
    """Raise ConfigurationError with the first reason why a node cannot start so."""
    _check_built(config.replication)
    _check_roles(config.replication)
    _check_addresses(config)
    _check_exposure(config)


def _check_built(settings: ReplicationSettings) -> None:
    if settings.role is Role.WITNESS:
        raise _not_built("role", settings.role, "set it to replica")
    if settings.peers:
        raise _not_built(
            "peers",
            ",".join(settings.peers),
            "remove it, and give every replica replication.master_addr",
        )
    if settings.coordinator != "manual":
        raise _not_built(
            "coordinator",
            settings.coordinator,
            "set it to manual: an operator promotes (nexus promote URL)",
        )


def _not_built(name: str, value: object, mend: str) -> ConfigurationError:
    return ConfigurationError(
        f"replication.{name} = '{value}' is not built in this version; {mend}"
    )


def _check_roles(settings: ReplicationSettings) -> None:
    if settings.role is Role.REPLICA and settings.master_addr is None:
        raise ConfigurationError(
            "replication.role = 'replica' has no master to follow; set "
            "replication.master_addr to the master's HOST:PORT"
        )
    if settings.role is not Role.REPLICA and settings.master_addr is not None:
        raise ConfigurationError(
            f"replication.master_addr = '{settings.master_addr}' is for replicas, but "
            f"replication.role = '{settings.role}'; remove it, or set "
            "replication.role to replica"
        )


def _check_addresses(config: Config) -> None:
    http, bind = config.http_addr, config.replication.bind_addr
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
