"""Snapshots on their way to replicas, also while they are still being made."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nexus.errors import NexusError, SnapshotError
from nexus.model.position import EpochHistory, Position
from nexus.node.clock import now_ms
from nexus.node.network.connection import Connection
from nexus.node.streaming.adapters import MasterAdapter
from nexus.node.streaming.relayadapter import RelayAdapter
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Measures
from nexus.protocol.messages import SnapshotChunk, SnapshotComplete, SnapshotMeta
from nexus.replication.effects import Effects, SendSnapshot
from nexus.replication.master import Master
from nexus.storage.database import Database
from nexus.storage.snapshots.store import (
    Begun,
    SnapshotInfo,
    SnapshotStore,
)
from nexus.storage.wal import WriteAheadLog

GROWTH_POLL_S: Final = 0.02
"""How often it is looked whether the next chunk of a growing archive is there."""


@dataclass(slots=True)
class _Making:
    """A snapshot that is being made, or waits for its turn."""

    begun: "asyncio.Future[Begun]"
    whole: "asyncio.Task[SnapshotInfo]"
    """Where it fails, `begun` may never be done."""

    async def start(self) -> Begun:
        """Wait until its position is settled; raises what kept it from that."""
        both: set[asyncio.Future[Any]] = {self.begun, self.whole}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not self.begun.done():
            self.whole.result()
        return await self.begun


@dataclass(frozen=True, slots=True)
class _Way:
    """Where one order's frames go, and who is told of it."""

    connection: Connection
    order: SendSnapshot
    machine: Master | MasterAdapter | RelayAdapter
    perform: Callable[[Effects], None]
    measures: Measures

    def start(self, snapshot_id: str, position: Position, meta: SnapshotMeta) -> int:
        """Announce the snapshot; the first chunk that is wanted of it.

        Raises SnapshotError for one that would take back what the replica holds.
        """
        if position.offset < self.order.at_least:
            raise SnapshotError(
                f"this node's database stands at entry {position.offset}, the log of "
                f"the replica agrees up to {self.order.at_least}: it asks again, for a "
                "snapshot once the database has caught up"
            )
        self.perform(self.machine.snapshot_started(self.order.peer, position))
        self.connection.send(meta)
        return self.order.next_chunk if self.order.snapshot_id == snapshot_id else 0

    async def send(self, chunk: SnapshotChunk) -> None:
        """One chunk, as soon as the peer has read enough of the others."""
        self.connection.send(chunk)
        self.measures.snapshot_sent_bytes += len(chunk.data)
        await self.connection.drain()

    async def end(self, snapshot_id: str) -> None:
        """All of it is sent."""
        self.connection.send(SnapshotComplete(snapshot_id, success=True))
        await self.connection.drain()
        self.perform(self.machine.snapshot_sent(self.order.peer))


class SnapshotSender:
    """Sends snapshots to replicas, also while they are made; several share one."""

    def __init__(
        self,
        store: SnapshotStore,
        database: Database,
        wal: WriteAheadLog,
        events: EventLog,
        measures: Measures,
    ) -> None:
        self._measures = measures
        self._store = store
        self._events = events
        self._database = database
        self._log = wal
        self._one_by_one = asyncio.Lock()
        self._latest: _Making | None = None

    async def make(self, cluster_id: str) -> SnapshotInfo:
        """A new snapshot; one at a time. NoDatabaseError where there is none."""
        self._database.require()
        return await asyncio.shield(self._begin(cluster_id).whole)

    async def close(self) -> None:
        """Wait for the end of what is being made; the store was closed before."""
        if self._latest is not None:
            await asyncio.wait({self._latest.whole})

    async def send(
        self,
        connection: Connection,
        order: SendSnapshot,
        machine: Master | MasterAdapter | RelayAdapter,
        perform: Callable[[Effects], None],
        cluster_id: str,
    ) -> None:
        """Carry out one SendSnapshot, and tell the machine how it ended."""
        way = _Way(connection, order, machine, perform, self._measures)
        try:
            info = await self._stored(order, machine.history)
            if info is not None:
                await self._send_whole(way, info)
                return
            making = await self._making(order, machine.history, cluster_id)
            if order.takes_growing:
                await self._send_growing(way, making)
            else:
                await self._send_whole(way, await asyncio.shield(making.whole))
        except (NexusError, OSError) as error:
            perform(machine.snapshot_failed(order.peer, str(error), now_ms()))

    async def _send_whole(self, way: _Way, info: SnapshotInfo) -> None:
        first = way.start(info.id, info.position, self._store.meta(info))
        await self._send_from(way, info, first)
        await way.end(info.id)

    async def _send_growing(self, way: _Way, making: _Making) -> None:
        begun = await making.start()
        meta = SnapshotMeta(begun.id, 0, 0, 0, begun.position)
        index = way.start(begun.id, begun.position, meta)
        while not making.whole.done():
            chunk = await asyncio.to_thread(self._store.early_chunk, begun, index)
            if chunk is None:
                await asyncio.wait({making.whole}, timeout=GROWTH_POLL_S)
            else:
                await way.send(chunk)
                index += 1
        info = making.whole.result()
        await self._send_from(way, info, index)
        way.connection.send(self._store.meta(info))
        await way.end(info.id)

    async def _send_from(self, way: _Way, info: SnapshotInfo, first: int) -> None:
        for index in range(first, self._store.meta(info).chunk_count):
            await way.send(await asyncio.to_thread(self._store.chunk, info, index))

    async def _stored(
        self, order: SendSnapshot, history: EpochHistory
    ) -> SnapshotInfo | None:
        """The snapshot that was begun, or else the newest that will do."""
        found = await asyncio.to_thread(self._store.list)
        usable = [
            info for info in found if self._will_do(info.position, order, history)
        ]
        begun = [info for info in usable if info.id == order.snapshot_id]
        return next(reversed(begun or usable), None)

    def _will_do(
        self, position: Position, order: SendSnapshot, history: EpochHistory
    ) -> bool:
        """Whether the log goes on where it ends, and it is of this history.

        This node may have left another, and still have that one's snapshots.
        """
        offset = position.offset
        reaches = offset + 1 >= self._log.first_offset and offset >= order.at_least
        return reaches and position == history.position_at(position.offset)

    async def _making(
        self, order: SendSnapshot, history: EpochHistory, cluster_id: str
    ) -> _Making:
        """The one that is being made, if it will do, or a new one."""
        latest = self._latest
        if latest is not None and not latest.whole.done():
            begun = await latest.start()
            if self._will_do(begun.position, order, history):
                return latest
        return self._begin(cluster_id)

    def _begin(self, cluster_id: str) -> _Making:
        begun: asyncio.Future[Begun] = asyncio.get_running_loop().create_future()
        whole = asyncio.create_task(self._make(cluster_id, begun))
        whole.add_done_callback(asyncio.Task.exception)  # not everybody who asked waits
        self._latest = _Making(begun, whole)
        return self._latest

    async def _make(
        self, cluster_id: str, begun: "asyncio.Future[Begun]"
    ) -> SnapshotInfo:
        loop = asyncio.get_running_loop()

        def settled(what: Begun) -> None:
            loop.call_soon_threadsafe(begun.set_result, what)

        async with self._one_by_one:
            info = await asyncio.to_thread(
                self._store.make, self._database, cluster_id, settled
            )
        self._events.info("snapshot_made", f"{info.id}, {info.compressed_size:,} bytes")
        return info
