"""Put a snapshot that has arrived into the database, as soon as others let it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nexus.errors import DatabaseBusyError, StorageError
from nexus.model.position import EpochHistory, Position
from nexus.node.fullsync import install_snapshot
from nexus.node.parts import Parts
from nexus.node.rescue import Rescue
from nexus.node.worker import ApplyWorker, errand

BUSY_RETRY_S: Final = 1.0
"""How often it looks whether a snapshot can be installed that others are in the way of.
"""

Installed = tuple[Position, EpochHistory]


class Installation:
    """What a replica installs, on the thread that owns its database."""

    def __init__(self, parts: Parts, worker: ApplyWorker, rescue: Rescue) -> None:
        self._parts = parts
        self._worker = worker
        self._rescue = rescue

    async def run(self, waits: Callable[[str], None]) -> Installed:
        """Install what has arrived; the position and history of database and log then.

        While others keep the database busy it is tried again and again, and `waits` is
        told why. Raises NexusError; database and log differ if an intent still stands.
        """
        copy: Path = await self.on_worker(self._parts.receiver.finish)
        while True:
            try:
                installed: Installed = await self.on_worker(lambda: self._install(copy))
            except DatabaseBusyError as error:
                waits(str(error))
                await asyncio.sleep(BUSY_RETRY_S)
            else:
                # Nobody waits for this but the next entries: the rows can be read.
                self._on_worker_soon(self._shorten)
                return installed

    def on_worker(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Call it on the thread that owns the database, between two batches."""
        job = errand(call, self._parts.loop)
        self._worker.run_soon(job)
        assert job.waiter is not None, "a job of an event loop has a waiter"
        return job.waiter

    def _on_worker_soon(self, call: Callable[[], Any]) -> None:
        waiter = asyncio.ensure_future(self.on_worker(call))
        waiter.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _install(self, copy: Path) -> Installed:
        parts = self._parts
        self._rescue.database()
        position = install_snapshot(
            copy,
            parts.database,
            parts.log,
            parts.standing.catalog,
            work=parts.standing.directory.snapshots / "installing.work",
            max_size=parts.config.snapshot.max_size,
        )
        self._rescue.done()
        parts.receiver.drop()
        self._worker.restart()
        return position, parts.database.history()

    def _shorten(self) -> None:
        """The `-wal` holds as much as the snapshot: move it, and cut the file."""
        with suppress(StorageError):  # where that cannot be, nothing is lost
            self._parts.database.empty_wal()
