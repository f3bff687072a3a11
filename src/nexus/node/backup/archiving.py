"""Archive what this node commits while it reigns: a thread of its own, behind all else.

Commits never wait for it. It looks twice an interval, uploads what is new, and where
the store fails it tries again, for as long as it takes.
"""

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from nexus.archive.opening import open_store
from nexus.archive.stores import Store
from nexus.archive.uploading import ReignOverError, Uploader
from nexus.config.settings import ArchiveSettings
from nexus.errors import NexusError, NodeStoppedError
from nexus.model.cluster import ArchiveStatus
from nexus.model.position import Offset
from nexus.node.backup.carrying import (
    LONGEST_PAUSE_S,
    ArchivedReign,
    ReignArchive,
    Source,
)
from nexus.node.startup import Storage
from nexus.node.streaming.sending import SnapshotSender
from nexus.node.telemetry.events import EventLog
from nexus.storage.snapshots.store import SnapshotInfo, SnapshotStore

NICENESS: Final = 5
"""Of its thread: who commits goes before."""

MOST_DOUBLINGS: Final = 16
"""Of the pause between two tries; LONGEST_PAUSE_S bounds it long before."""

LAST_S: Final = 5.0
"""For what is not archived when the node stops."""


class Archiving:
    """One node's archive; `serve` a reign, and `close` it with the node."""

    def __init__(self, store: Store, source: Source, settings: ArchiveSettings) -> None:
        self._store = store
        self._source = source
        self._settings = settings
        self._reign: ArchivedReign | None = None
        self._work: ReignArchive | None = None
        self._wake = threading.Event()
        self._closing = False
        self._gave_up = False
        self._error = ""
        self._failures = 0
        self._last_success_s = 0.0
        """Seconds since 1970."""
        self._served_at_s = 0.0
        """Since when there is this reign to archive; monotonic."""
        self._thread = threading.Thread(
            target=self._run, name="nexus-archive", daemon=True
        )
        self._thread.start()

    def serve(self, reign: ArchivedReign | None) -> None:
        """From now on archive what this reign commits; None: nothing."""
        if reign is not self._reign:
            self._served_at_s = time.monotonic()
            self._reign = reign
            self._wake.set()

    def status(self) -> ArchiveStatus | None:
        """How it fares; None while this node does not reign."""
        reign, work = self._reign, self._work
        if reign is None:
            return None
        applied = self._source.database.position.offset
        begun = work if work is not None and work.reign is reign else None
        covered = (begun.uploader.covered if begun else None) or Offset(0)
        since_s = begun.whole_at_s if begun else self._served_at_s
        lag = max(0, applied - covered)
        return ArchiveStatus(
            url=self._store.url,
            offset=covered,
            lag=lag,
            lag_seconds=round(time.monotonic() - since_s, 3) if lag else 0.0,
            last_success=self._last_success_s,
            snapshots=begun.snapshots if begun else 0,
            bytes_sent=begun.uploader.bytes_sent if begun else 0,
            failures=self._failures,
            last_error=self._error or (begun.trouble if begun else ""),
        )

    def floor(self) -> Offset:
        """The log keeps entries from here on for the archive, within its limit."""
        reign, work = self._reign, self._work
        last = self._source.log.last_offset
        if reign is None:
            return Offset(last + 1)
        if self._source.log.size_bytes > self._settings.hold_size:
            if not self._gave_up:
                self._source.events.warning(
                    "archive_given_up",
                    "the log has reached archive.hold_size; a new snapshot will close "
                    "the gap",
                )
            self._gave_up = True
            return Offset(last + 1)
        self._gave_up = False
        if work is None or work.reign is not reign:
            return Offset(0)
        return Offset(work.uploader.carried + 1)

    def snapshot_now(self) -> None:
        """Have a snapshot made and uploaded soon."""
        work = self._work
        if work is not None:
            work.wants_snapshot = True
        self._wake.set()

    def close(self) -> None:
        """Carry what is left, for LAST_S at most, then end; blocks."""
        self._closing = True
        self._wake.set()
        self._thread.join(LAST_S)

    def _run(self) -> None:
        if sys.platform == "linux":
            # Linux keeps a priority for each thread; a sandbox may forbid to set it.
            with suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        period_s = self._settings.interval_ms / 2000
        failures = 0
        while not self._closing:
            pause_s = min(period_s * 2**failures, max(period_s, LONGEST_PAUSE_S))
            self._wake.wait(pause_s)
            self._wake.clear()
            failures = min(failures + 1, MOST_DOUBLINGS) if self._turn() else 0
        self._turn()

    def _turn(self) -> bool:
        """Carry what there is; whether that failed."""
        reign = self._reign
        if reign is None:
            self._work = None
            return False
        try:
            self._carry(reign)
        except (ReignOverError, NodeStoppedError):
            return False
        except NexusError as error:
            self._failed(str(error))
            return True
        except Exception as error:  # noqa: BLE001 - commits go on whatever happens here
            self._failed(f"{type(error).__name__}: {error}")
            return True
        self._last_success_s = time.time()
        if self._error:
            self._source.events.info("archive_is_back", self._store.url)
            self._error = ""
        return False

    def _failed(self, reason: str) -> None:
        if reason != self._error:
            self._source.events.warning("archive_failed", reason)
        self._error = reason
        self._failures += 1

    def _carry(self, reign: ArchivedReign) -> None:
        work = self._work
        if work is None or work.reign is not reign:
            work = self._work = self._begun(reign)
        work.uploader.history = reign.history
        if not self._closing:
            work.see_to_snapshot()
        if work.uploader.covered is not None:
            work.carry(self._source.database.position.offset)

    def _goes_on(self, reign: ArchivedReign) -> bool:
        """Whether the log still holds what the reign committed.

        When the node has stopped, too, unless it has come to follow another master.
        """
        if not reign.manager.has_ended:
            return True
        last = self._source.database.position.history_id
        return self._closing and last == reign.history.history_id

    def _begun(self, reign: ArchivedReign) -> ReignArchive:
        source = self._source
        uploader = Uploader(
            self._store,
            source.log,
            source.cluster_id(),
            reign.history,
            lambda: self._goes_on(reign),
        )
        uploader.begin()
        self._source.events.info(
            "archive_begins", f"{self._store.url}, from entry {uploader.carried + 1} on"
        )
        return ReignArchive(
            reign, uploader, source, self._store, self._settings, self._wake.set
        )


def store_of(url: str, database: str) -> Store | None:
    """Where a database of this node archives; each named one in a folder of its own.

    None where there is no archive; raises ArchiveError.
    """
    if not url:
        return None
    return open_store(f"{url.rstrip('/')}/{database}" if database else url)


def archiving_of(
    store: Store | None,
    settings: ArchiveSettings,
    storage: Storage,
    snapshots: SnapshotStore,
    sender: SnapshotSender,
    events: EventLog,
) -> Archiving | None:
    """What archives, where there is a store; on the node's loop."""
    if store is None:
        return None
    catalog, loop = storage.catalog, asyncio.get_running_loop()

    def make() -> Future[SnapshotInfo]:
        made = sender.make(catalog.state.cluster_id)
        return asyncio.run_coroutine_threadsafe(made, loop)

    source = Source(
        storage.log,
        storage.database,
        snapshots,
        make,
        lambda: catalog.state.cluster_id,
        events,
    )
    return Archiving(store, source, settings)
