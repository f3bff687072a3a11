"""The settings of a named database: its node's, in a directory of its own."""

from typing import Final

from msgspec.structs import replace

from nexus.config.settings import Config

DIRECTORY: Final = "databases"
"""In a node's data directory; in it each named database has its own."""


def config_of(config: Config, database: str) -> Config:
    """What the node of a named database runs with."""
    prefix = f"{config.replication.etcd_prefix}/{DIRECTORY}/{database}"
    return replace(
        config,
        data_dir=config.data_dir / DIRECTORY / database,
        databases=(),
        replication=replace(config.replication, etcd_prefix=prefix),
    )
