"""A snapshot that arrives: its chunks go to the disk, then into the database."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from nexus.errors import DatabaseBusyError, NexusError, StorageError
from nexus.model.position import EpochHistory, Position
from nexus.node.parts import Parts
from nexus.node.roles.installing import install_base, install_snapshot
from nexus.node.roles.rescue import Rescue
from nexus.replication.effects import Install, ReceiveSnapshot, StoreChunk

BUSY_RETRY_S: Final = 1.0
"""How often it looks whether a snapshot can be installed that others are in the way of.
"""


Installed = tuple[Position, EpochHistory]
"""Where database and log stand then, and the reigns up to there."""


class Listener(Protocol):
    """Who hears what became of the snapshot."""

    def installed(self, position: Position, history: EpochHistory) -> None:
        """It stands in the database, the log begins after it."""

    def install_failed(self, reason: str) -> None:
        """It could not be used."""

    def waits(self, reason: str) -> None:
        """It can be installed once others let go of the database."""


@dataclass(frozen=True, slots=True)
class IntakeHooks:
    """Whom the intake asks and tells."""

    on_worker: Callable[[Callable[[], Any]], Awaitable[Any]]
    """Call it on the thread that owns the database."""
    restart: Callable[[], None]
    """The database is another one: on that thread, forget what was known of it."""
    follower: Callable[[], Listener]


class SnapshotIntake:
    """Carries out what a replica's machine asks for during a full sync."""

    def __init__(self, parts: Parts, rescue: Rescue, hooks: IntakeHooks) -> None:
        self._parts = parts
        self._rescue = rescue
        self._hooks = hooks
        self._shortening: asyncio.Future[None] | None = None

    async def receive(self, effect: ReceiveSnapshot) -> None:
        """A snapshot begins, or goes on."""
        begin = self._parts.receiver.begin
        try:
            first = await asyncio.to_thread(begin, effect.meta, effect.next_chunk)
        except NexusError as error:
            self._hooks.follower().install_failed(str(error))
            return
        if first != effect.next_chunk:
            self._hooks.follower().install_failed(
                f"snapshot {effect.meta.snapshot_id} cannot go on at chunk "
                f"{effect.next_chunk}: less of it is on the disk; it begins anew"
            )

    async def store(self, effect: StoreChunk) -> None:
        """One of its chunks."""
        try:
            await asyncio.to_thread(self._parts.receiver.add, effect.chunk)
        except NexusError as error:
            self._hooks.follower().install_failed(str(error))

    async def install(self, _: Install) -> None:
        """All is there."""
        parts, hooks = self._parts, self._hooks
        try:
            copy: Path = await hooks.on_worker(parts.receiver.finish)
            for call in parts.before_replacing:
                await call()
            position, history = await self._when_free(lambda: self._replace(copy))
        except NexusError as error:
            if parts.state.intent is None:
                hooks.follower().install_failed(str(error))
            else:  # database and log differ: the next start mends that
                parts.failed(error)
        else:
            hooks.follower().installed(position, history)
            parts.waiters.passed(position.offset)
            # Only the next entries wait for this: the rows can be read already. It has
            # the writer, which whoever hears of an installed snapshot may look into.
            self._shortening = asyncio.ensure_future(hooks.on_worker(self._shorten))
            self._shortening.add_done_callback(_ended)

    def _shorten(self) -> None:
        """The `-wal` holds as much as the snapshot: move that, and cut the file."""
        database = self._parts.database
        with suppress(StorageError):  # where it cannot be moved nothing is lost
            if database.stands:
                database.empty_wal()

    def _replace(self, copy: Path) -> Installed:
        parts = self._parts
        if parts.is_witness:
            base = install_base(copy, parts.log, parts.storage.catalog)
            parts.receiver.drop()
            return base
        self._rescue.database()
        position = install_snapshot(
            copy,
            parts.database,
            parts.log,
            parts.storage.catalog,
            work=parts.storage.directory.snapshots / "installing.work",
            max_size=parts.config.snapshot.max_size,
        )
        self._rescue.done()
        parts.receiver.drop()
        self._hooks.restart()
        return position, parts.database.history()

    async def _when_free(self, install: Callable[[], Installed]) -> Installed:
        """Install; while others keep the database busy, again and again."""
        while True:
            try:
                installed: Installed = await self._hooks.on_worker(install)
            except DatabaseBusyError as error:
                self._hooks.follower().waits(str(error))
                await asyncio.sleep(BUSY_RETRY_S)
            else:
                return installed


def _ended(shortening: "asyncio.Future[None]") -> None:
    """Where the node stopped before, the next one finds the `-wal` as it is."""
    if not shortening.cancelled():
        shortening.exception()
