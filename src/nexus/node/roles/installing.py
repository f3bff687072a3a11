"""A received snapshot takes the place of a node's database and log."""

from contextlib import closing
from pathlib import Path

from nexus.errors import NexusError, SnapshotError
from nexus.model.position import NO_OFFSET, ORIGIN, EpochHistory, Position
from nexus.storage.catalog import Base, Catalog, Intent
from nexus.storage.database import Database
from nexus.storage.schema import system
from nexus.storage.snapshots.installer import install_into, manifest_beside
from nexus.storage.sqlite.connections import open_reader
from nexus.storage.wal import WriteAheadLog


def install_snapshot(
    copy: Path,
    database: Database,
    wal: WriteAheadLog,
    catalog: Catalog,
    *,
    work: Path,
    max_size: int,
) -> Position:
    """Put a received snapshot into database and log; runs on the writer's thread.

    The intent stands in the catalog while the two differ: at the next start the
    position found in the database tells which of them is right. Raises SnapshotError or
    StorageError; if the intent still stands then, the node must start again. After a
    DatabaseBusyError it can be tried again.
    """
    target = manifest_beside(copy).position
    database.set_mode_applying()
    catalog.update(intent=Intent("full_sync", database.position, target))
    try:
        manifest = install_into(copy, database, work, max_size=max_size)
    except NexusError:
        # The database is as it was. Left standing, the intent would have a later start
        # empty the log, if the entries of the log had led there by then.
        catalog.update(intent=None)
        raise
    wal.reset(manifest.position.offset)
    # The log may end before where it ended at the last clean stop.
    catalog.update(intent=None, refilled=True, log_watermark=wal.durable_offset)
    return database.position


def install_base(
    copy: Path, wal: WriteAheadLog, catalog: Catalog
) -> tuple[Position, EpochHistory]:
    """Have a witness's log go on where a received snapshot stands; blocks.

    Nothing of its rows is kept. The catalog comes first: a crash before the log is
    reset is mended at the next start.
    """
    with closing(open_reader(copy)) as reader:
        position = system.read_position(reader)
        history = system.read_history(reader)
        stored = system.read_configuration(reader)
    if stored is None:
        raise SnapshotError(
            "the snapshot names no voters, so a witness has no place in that cluster"
        )
    base = Base(position.offset, history, *stored)
    intent = Intent("full_sync", ORIGIN, position)
    catalog.update(base=base, intent=intent, log_watermark=NO_OFFSET)
    wal.reset(position.offset)
    catalog.update(intent=None, refilled=True, log_watermark=wal.durable_offset)
    return position, history
