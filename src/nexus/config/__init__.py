"""One frozen Config; TOML, environment and flags meet here and are checked once."""

from nexus.config.loading import load
from nexus.config.settings import (
    Config,
    LimitSettings,
    ReplicationSettings,
    SecuritySettings,
    SnapshotSettings,
    TlsSettings,
)
from nexus.config.values import is_loopback, join_address, split_address

__all__ = [
    "Config",
    "LimitSettings",
    "ReplicationSettings",
    "SecuritySettings",
    "SnapshotSettings",
    "TlsSettings",
    "is_loopback",
    "join_address",
    "load",
    "split_address",
]
