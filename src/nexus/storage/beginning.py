"""A data directory whose log begins where its database stands: one made of a backup."""

from contextlib import closing

from nexus.model.position import Position
from nexus.storage.catalog import Catalog
from nexus.storage.directory import DataDirectory
from nexus.storage.wal import WalSettings, WriteAheadLog


def begin_at(directory: DataDirectory, cluster_id: str, position: Position) -> None:
    """Begin an empty log behind `position`, and enter the cluster into the catalog.

    Durable on return. Raises StorageError.
    """
    with closing(WriteAheadLog.open(directory.wal, WalSettings())) as log:
        log.reset(position.offset)
    with closing(Catalog.open(directory.catalog)) as catalog:
        catalog.update(
            cluster_id=cluster_id,
            epoch=position.epoch,
            history_id=position.history_id,
        )
