"""Archive what this node commits while it reigns: a thread of its own, behind all else.

Commits never wait for it. It looks twice an interval, uploads what is new, and where
the store fails it tries again, for as long as it takes.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from nexus.archive.names import SnapshotName
from nexus.archive.stores import Store
from nexus.archive.uploading import ReignOverError, Uploader
from nexus.config.settings import ArchiveSettings
from nexus.errors import LogGapError, NexusError, NodeStoppedError
from nexus.model.cluster import ArchiveStatus
from nexus.model.position import EpochHistory, Offset
from nexus.node.transactions import TransactionManager
from nexus.storage.database import Database
from nexus.storage.snapshot import SnapshotInfo, SnapshotStore
from nexus.storage.wal import WriteAheadLog

NICENESS: Final = 5
MOST_DOUBLINGS: Final = 16
LONGEST_PAUSE_S: Final = 30.0
"""Between two tries while the store fails."""
AUDIT_S: Final = 600.0
"""How often what was written is compared with what is there."""
LAST_S: Final = 5.0
"""For what is not archived when the node stops."""

log = structlog.get_logger(__name__)


class Reign(Protocol):
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


class Archiving:
    """One node's archive; `serve` a reign, and `close` it with the node."""

    def __init__(self, store: Store, source: Source, settings: ArchiveSettings) -> None:
        self._store = store
        self._source = source
        self._settings = settings
        self._reign: Reign | None = None
        self._work: _Work | None = None
        self._wake = threading.Event()
        self._closing = False
        self._gave_up = False
        self._error = ""
        self._thread = threading.Thread(
            target=self._run, name="nexus-archive", daemon=True
        )
        self._thread.start()

    def serve(self, reign: Reign | None) -> None:
        """From now on archive what this reign commits; None: nothing."""
        self._reign = reign

    def status(self) -> ArchiveStatus | None:
        """How it fares; None while this node does not reign."""
        reign, work = self._reign, self._work
        if reign is None:
            return None
        applied = self._source.database.position.offset
        if work is None or work.reign is not reign:
            covered, since, snapshots = Offset(0), time.monotonic(), 0
        else:
            covered, since = work.uploader.covered or Offset(0), work.whole_at
            snapshots = work.snapshots
        lag = max(0, applied - covered)
        return ArchiveStatus(
            url=self._store.url,
            offset=covered,
            lag=lag,
            lag_seconds=round(time.monotonic() - since, 3) if lag else 0.0,
            snapshots=snapshots,
            last_error=self._error or (work.trouble if work else ""),
        )

    def floor(self) -> Offset:
        """The log keeps entries from here on for the archive, within its limit."""
        reign, work = self._reign, self._work
        last = self._source.log.last_offset
        if reign is None:
            return Offset(last + 1)
        if self._source.log.size_bytes > self._settings.hold_size:
            if not self._gave_up:
                log.warning(
                    "archive_given_up",
                    reason="the log has reached archive.hold_size; a new snapshot "
                    "will close the gap",
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
            # Linux keeps a priority for each thread.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        period = self._settings.interval_ms / 2000
        failures = 0
        while not self._closing:
            self._wake.wait(min(period * 2**failures, max(period, LONGEST_PAUSE_S)))
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
        if self._error:
            log.info("archive_is_back", url=self._store.url)
            self._error = ""
        return False

    def _failed(self, reason: str) -> None:
        if reason != self._error:
            log.warning("archive_failed", reason=reason)
        self._error = reason

    def _carry(self, reign: Reign) -> None:
        work = self._work
        if work is None or work.reign is not reign:
            work = self._work = self._begun(reign)
        work.uploader.history = reign.history
        if not self._closing:
            work.see_to_snapshot(self._settings, self._source, self._store)
        if work.uploader.covered is not None:
            work.carry(self._source.database.position.offset)

    def _goes_on(self, reign: Reign) -> bool:
        """Whether the log still holds what the reign committed.

        When the node has stopped, too, unless it has come to follow another master.
        """
        if not reign.manager.has_ended:
            return True
        last = self._source.database.position.history_id
        return self._closing and last == reign.history.history_id

    def _begun(self, reign: Reign) -> "_Work":
        source = self._source
        uploader = Uploader(
            self._store,
            source.log,
            source.cluster_id(),
            reign.history,
            lambda: self._goes_on(reign),
        )
        uploader.begin()
        log.info("archive_begins", url=self._store.url, offset=uploader.covered or 0)
        return _Work(reign, uploader)


class _Work:
    """What is under way for one reign; for the archive's thread."""

    def __init__(self, reign: Reign, uploader: Uploader) -> None:
        self.reign = reign
        self.uploader = uploader
        self.whole_at = time.monotonic()
        self.wants_snapshot = False
        self.snapshots = 0
        self.snapshot_error = ""
        self._audit_at = time.monotonic() + AUDIT_S
        self._snapshot_at = 0.0
        """Not before: the last try failed."""
        self._failures = 0
        self._making: Future[tuple[SnapshotName, int]] | None = None

    @property
    def trouble(self) -> str:
        """What does not get on, or was lost; empty: all is well."""
        return self.snapshot_error or self.uploader.lost

    def carry(self, limit: Offset) -> None:
        """Upload what is committed, and now and then see whether all is still there."""
        now = time.monotonic()
        try:
            while self.uploader.carry(limit):
                pass
        except LogGapError as error:
            if not self.wants_snapshot and self._making is None:
                log.warning("archive_gap", reason=str(error))
            self.wants_snapshot = True
            return
        self.whole_at = now
        if now > self._audit_at:
            self._audit_at = now + AUDIT_S
            self.uploader.audit()
            if self.uploader.lost:
                log.error("archive_lost", reason=self.uploader.lost)

    def see_to_snapshot(
        self, settings: ArchiveSettings, source: Source, store: Store
    ) -> None:
        """Begin one when it is due, beside the runs; note one that is there."""
        making = self._making
        if making is not None and making.done():
            self._making = None
            self._note(making)
        if self._making is None and self._is_due(settings):
            self.wants_snapshot = False
            self._making = Future()
            threading.Thread(
                target=self._make,
                args=(self._making, source, store),
                name="nexus-archive-snapshot",
                daemon=True,
            ).start()

    def _is_due(self, settings: ArchiveSettings) -> bool:
        if time.monotonic() < self._snapshot_at:
            return False
        age_s = time.time() - self.uploader.snapshot_us / 1e6
        is_old = age_s > settings.snapshot_interval
        return self.wants_snapshot or self.uploader.covered is None or is_old

    def _note(self, making: "Future[tuple[SnapshotName, int]]") -> None:
        try:
            name, size = making.result()
            self.uploader.snapshot_added(name, size)
        except (NexusError, OSError) as error:
            self._failures += 1
            pause_s = min(2.0**self._failures, LONGEST_PAUSE_S)
            self._snapshot_at = time.monotonic() + pause_s
            self.wants_snapshot = True
            self.snapshot_error = f"no snapshot: {error}"
            log.warning("archive_snapshot_failed", reason=str(error))
        else:
            self._failures = 0
            self.snapshots += 1
            self.snapshot_error = ""
            log.info("archive_snapshot", name=str(name), bytes=size)

    def _make(
        self, made: "Future[tuple[SnapshotName, int]]", source: Source, store: Store
    ) -> None:
        try:
            info = source.make_snapshot().result()
            name = self.uploader.name_snapshot(info.position)
            store.put_file(str(name), source.snapshots.path(info.id))
            made.set_result((name, info.compressed_size))
        except BaseException as error:  # noqa: BLE001 - told on the archive's thread
            made.set_exception(error)


def make_by(
    loop: asyncio.AbstractEventLoop, make: Callable[[], Any]
) -> Callable[[], Future[SnapshotInfo]]:
    """A coroutine of the loop as a call from another thread."""
    return lambda: asyncio.run_coroutine_threadsafe(make(), loop)
