"""A new replica begins with what the archive holds; its master sends only the rest."""

import structlog

from nexus.archive.restoring import Moment, restore
from nexus.archive.staging import is_vacant
from nexus.archive.stores import Store
from nexus.config import Config
from nexus.errors import StorageError
from nexus.model.cluster import Role
from nexus.storage.sqlite.functions import Functions

log = structlog.get_logger(__name__)


def seed_replica(config: Config, store: Store) -> None:
    """Make the data directory of a replica that has none yet; blocks.

    Where the archive cannot give it, that is told, and a full sync does it later.
    """
    replication, directory = config.replication, config.data_dir
    is_new = is_vacant(directory)
    if replication.role is not Role.REPLICA or replication.peers or not is_new:
        return
    try:
        made = restore(
            store,
            directory,
            Moment(),
            max_size=config.snapshot.max_size,
            functions=Functions.of_modules(config.functions),
            as_replica=True,
        )
    except StorageError as error:
        log.warning("replica_not_seeded", reason=str(error))
    else:
        log.info("replica_seeded", position=str(made.position), url=store.url)
