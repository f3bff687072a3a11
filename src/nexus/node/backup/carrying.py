"""What is under way for one reign's archive: runs, snapshots, and what went wrong."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Protocol

from nexus.archive.inventory import Inventory
from nexus.archive.names import SnapshotName
from nexus.archive.retention import Window, needless
from nexus.archive.stores import Store
from nexus.archive.uploading import Uploader
from nexus.config.settings import ArchiveSettings
from nexus.errors import LogGapError, NexusError
from nexus.model.position import EpochHistory, Offset
from nexus.node.telemetry.events import EventLog
from nexus.node.transactions import TransactionManager
from nexus.storage.database import Database
from nexus.storage.snapshots.store import SnapshotInfo, SnapshotStore
from nexus.storage.wal import WriteAheadLog

AUDIT_S: Final = 600.0
"""How often what was written is compared with what is there."""

LONGEST_PAUSE_S: Final = 30.0
"""Between two tries while the store fails."""


class ArchivedReign(Protocol):
    """A master's reign, as far as its archive is concerned; read from any thread."""

    @property
    def history(self) -> EpochHistory:
        """Every reign of its log."""

    @property
    def manager(self) -> TransactionManager:
        """Until it has ended, nothing that it committed can be taken back."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the archive is made from."""

    log: WriteAheadLog
    database: Database
    snapshots: SnapshotStore
    make_snapshot: Callable[[], Future[SnapshotInfo]]
    cluster_id: Callable[[], str]
    events: EventLog


class ReignArchive:
    """What is under way for one reign; for the archive's thread."""

    def __init__(
        self,
        reign: ArchivedReign,
        uploader: Uploader,
        source: Source,
        store: Store,
        settings: ArchiveSettings,
        wake: Callable[[], None],
    ) -> None:
        """`wake` has the archive's thread look again at once."""
        self.reign = reign
        self.uploader = uploader
        self._source = source
        self._store = store
        self._settings = settings
        self._events = source.events
        self._wake = wake
        self.whole_at_s = time.monotonic()
        """When everything that was committed was archived last; monotonic."""
        self.wants_snapshot = False
        self.snapshots = 0
        """Uploaded so far."""
        self.snapshot_error = ""
        """Why there is none though it is due, or empty."""
        self._told_loss = ""
        self._audit_at_s = self.whole_at_s + AUDIT_S
        self._next_snapshot_s = 0.0
        """Not before: the last try failed."""
        self._made_at_s: float | None = None
        """When this reign archived a snapshot last; monotonic."""
        self._failures = 0
        self._making: Future[tuple[SnapshotName, int]] | None = None

    @property
    def trouble(self) -> str:
        """What does not get on, or was lost; empty: all is well."""
        return self.snapshot_error or self.uploader.lost

    def carry(self, limit: Offset) -> None:
        """Upload what is committed, and now and then see whether all is still there."""
        now_s = time.monotonic()
        try:
            while self.uploader.carry(limit):
                pass
        except LogGapError as error:
            if not self.wants_snapshot and self._making is None:
                self._events.warning("archive_gap", str(error))
            self.wants_snapshot = True
            return
        self.whole_at_s = now_s
        self.uploader.sweep(now_s)
        if now_s > self._audit_at_s:
            self._audit_at_s = now_s + AUDIT_S
            self.uploader.audit()
            self._tell_loss()

    def see_to_snapshot(self) -> None:
        """Begin one when it is due, beside the runs; note one that is there."""
        making = self._making
        if making is not None and making.done():
            self._making = None
            self._note(making)
        if self._making is None and self._is_due():
            self.wants_snapshot = False
            self._making = Future()
            threading.Thread(
                target=self._make,
                args=(self._making,),
                name="nexus-archive-snapshot",
                daemon=True,
            ).start()

    def _is_due(self) -> bool:
        if time.monotonic() < self._next_snapshot_s:
            return False
        newest = self.uploader.snapshot
        if self.wants_snapshot or newest is None or self.uploader.covered is None:
            return True
        # Where nobody writes, another one would hold the same, for as long as that is.
        is_new = self.uploader.covered > newest.offset
        return is_new and self._age_s(newest) > self._settings.snapshot_interval

    def _age_s(self, newest: SnapshotName) -> float:
        """How long ago the newest snapshot was made.

        One of another process is dated by its clock. That may have been ahead of this
        one's by any time, during which no snapshot would be made.
        """
        if self._made_at_s is not None:
            return time.monotonic() - self._made_at_s
        return abs(time.time() - newest.time_us / 1e6)

    def _retain(self, inventory: Inventory) -> None:
        """Delete what no moment of the window needs."""
        settings = self._settings
        window = Window(
            settings.retention_age,
            settings.retention_count,
            2 * settings.snapshot_interval,
        )
        now_us = time.time_ns() // 1000
        names = needless(inventory, self.uploader.history, window, now_us)
        if names:
            self.uploader.delete(names)
            self._events.info("archive_retained", f"{len(names)} objects are deleted")

    def _tell_loss(self) -> None:
        """What was found to be lost just now, once."""
        told, self._told_loss = self._told_loss, self.uploader.lost
        if self._told_loss not in ("", told):
            self._events.error("archive_lost", self._told_loss)

    def _note(self, making: "Future[tuple[SnapshotName, int]]") -> None:
        try:
            name, size = making.result()
            inventory = self.uploader.snapshot_added(name, size)
            self._tell_loss()
            self._retain(inventory)
        except (NexusError, OSError) as error:
            self._failures += 1
            pause_s = min(2.0**self._failures, LONGEST_PAUSE_S)
            self._next_snapshot_s = time.monotonic() + pause_s
            self.wants_snapshot = True
            self.snapshot_error = f"no snapshot: {error}"
            self._events.warning("archive_snapshot_failed", str(error))
        else:
            self._failures = 0
            self._made_at_s = time.monotonic()
            self.snapshot_error = ""
            self._events.info(
                "archive_snapshot", f"up to entry {name.offset}: {size:,} bytes"
            )
            # Last: another thread that finds it counted finds no error any more.
            self.snapshots += 1

    def _make(self, made: "Future[tuple[SnapshotName, int]]") -> None:
        try:
            info = self._source.make_snapshot().result()
            name = self.uploader.name_snapshot(info.position)
            self._store.put_file(str(name), self._source.snapshots.path(info.id))
            made.set_result((name, info.compressed_size))
        except BaseException as error:  # noqa: BLE001 - told on the archive's thread
            made.set_exception(error)
        self._wake()
