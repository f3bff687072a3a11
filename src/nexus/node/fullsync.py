"""Snapshots on their way: the master's side sends, the replica's side installs."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from nexus.errors import NexusError, SnapshotError
from nexus.model.position import EpochHistory, Position
from nexus.node.connection import Connection
from nexus.node.publisher import now_ms
from nexus.protocol.messages import SnapshotComplete
from nexus.replication.effects import Effects, SendSnapshot
from nexus.replication.master import Master
from nexus.storage.catalog import Catalog, Intent
from nexus.storage.database import Database
from nexus.storage.snapshot import (
    SnapshotInfo,
    SnapshotStore,
    install_into,
)
from nexus.storage.wal import WriteAheadLog


class SnapshotSender:
    """Sends snapshots to replicas; several share one."""

    def __init__(
        self, store: SnapshotStore, database: Database, wal: WriteAheadLog
    ) -> None:
        self._store = store
        self._database = database
        self._log = wal
        self._making = asyncio.Lock()

    async def make(self, cluster_id: str) -> SnapshotInfo:
        """A new snapshot; one at a time. NoDatabaseError where there is none."""
        self._database.require()
        async with self._making:
            return await asyncio.to_thread(self._store.make, self._database, cluster_id)

    async def send(
        self,
        connection: Connection,
        order: SendSnapshot,
        machine: Master,
        perform: Callable[[Effects], None],
        cluster_id: str,
    ) -> None:
        """Carry out one SendSnapshot, and tell the machine how it ended."""
        try:
            info, next_chunk = await self._choose(order, machine.history, cluster_id)
            meta = self._store.meta(info)
            perform(machine.snapshot_started(order.peer, info.position))
            connection.send(meta)
            for index in range(next_chunk, meta.chunk_count):
                chunk = await asyncio.to_thread(self._store.chunk, info, index)
                connection.send(chunk)
                await connection.drain()
            connection.send(SnapshotComplete(info.id, success=True))
            await connection.drain()
            perform(machine.snapshot_sent(order.peer))
        except (NexusError, OSError) as error:
            perform(machine.snapshot_failed(order.peer, str(error), now_ms()))

    async def _choose(
        self, order: SendSnapshot, history: EpochHistory, cluster_id: str
    ) -> tuple[SnapshotInfo, int]:
        """The snapshot that was begun, the newest that will do, or a new one.

        The log goes on where a usable one ends, and it is of this history: this node
        may have left another, and still have that one's snapshots.
        """
        found = await asyncio.to_thread(self._store.list)
        usable = [
            info
            for info in found
            if info.wal_offset + 1 >= self._log.first_offset
            and info.wal_offset >= order.at_least
            and info.position == history.position_at(info.position.offset)
        ]
        for info in usable:
            if info.id == order.snapshot_id:
                return info, order.next_chunk
        if usable:
            return usable[-1], 0
        made = await self.make(cluster_id)
        if made.wal_offset < order.at_least:
            raise SnapshotError(
                f"this node's database stands at {made.wal_offset}, the replica's log "
                f"agrees up to {order.at_least}: try again when it has caught up"
            )
        return made, 0


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
    database.set_mode_applying()
    catalog.update(intent=Intent("full_sync", database.position))
    try:
        manifest = install_into(copy, database, work, max_size=max_size)
    except NexusError:
        # The database is as it was. Left standing, the intent would have a later start
        # empty the log, because the position has moved on.
        catalog.update(intent=None)
        raise
    wal.reset(manifest.position.offset)
    # The log may end before where it ended at the last clean stop.
    catalog.update(intent=None, log_watermark=wal.durable_offset)
    return database.position
