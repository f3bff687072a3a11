"""A data directory whose log begins where its database stands: one made of a backup."""

from contextlib import closing

from nexus.model.position import Position
from nexus.storage.catalog import Catalog
from nexus.storage.database import Database
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


def leave_cluster(database: Database) -> None:
    """Delete the voters that a restored database names: they are another cluster's.

    What it goes on with is not what they go on with, so the two must not mix.
    """
    database.writer.execute("delete from nexus_membership")
