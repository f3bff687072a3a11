"""The replica's writer thread: apply what the log holds, up to a target.

It owns the database's writer connection while this node is no master, reads entries
from the log's files and applies them many at a time; the further behind it is, the
more entries share one SQLite transaction.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import structlog

from nexus.errors import (
    ApplyError,
    DatabaseBusyError,
    DiskFullError,
    NexusError,
    NodeStoppedError,
)
from nexus.model.operation import Fingerprint
from nexus.model.position import Offset, Position
from nexus.node.telemetry.measures import Measures
from nexus.node.telemetry.shortage import SPACE_RETRY_S
from nexus.node.writing.jobs import Job, deliver
from nexus.node.writing.work import Errand
from nexus.storage.apply import APPLY_BYTES, Applier
from nexus.storage.database import Database
from nexus.storage.log.cursor import LogCursor
from nexus.storage.wal import WriteAheadLog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ApplyHooks:
    """Whom the thread tells what; called on that thread, must not block."""

    applied: Callable[[Position], None]
    conflicted: Callable[[ApplyError], None]
    """An entry does not fit; nothing of it is applied, and nothing after it."""
    failed: Callable[[BaseException], None]
    short: Callable[[DiskFullError], None]
    """No space for an entry: it is applied as soon as there is."""
    fingerprint: Callable[[Fingerprint, Offset], None]


class ApplyWorker:
    """One thread; `advance` tells it how far it may go."""

    def __init__(
        self,
        database: Database,
        log: WriteAheadLog,
        hooks: ApplyHooks,
        measures: Measures | None = None,
    ) -> None:
        self.database = database
        self._measures = measures or Measures()
        self._log = log
        self._hooks = hooks
        self._applier = Applier(database, on_fingerprint=hooks.fingerprint)
        self._calls: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._target = Offset(0)
        self._halted = False
        self._stopping = False
        self._is_over = False
        """Whether the thread takes nothing more."""
        self._cursor: LogCursor | None = None
        self._runner = threading.Thread(
            target=copy_context().run,
            args=(self._run,),
            name="nexus-apply",
            daemon=True,
        )

    def start(self) -> None:
        """Take the writer connection and begin to wait for targets."""
        self.database.set_mode_applying()
        self._runner.start()

    def advance(self, target: Offset) -> None:
        """Entries up to `target` may be applied; never moves back."""
        if target > self._target:
            self._target = target
            self._calls.put(None)

    def hold(self) -> None:
        """Apply nothing more until the next `advance`; the running batch ends."""
        self._target = self.database.position.offset

    def run_soon(self, job: Job) -> None:
        """Do an errand between two batches; NodeStoppedError answers it afterwards."""
        self._calls.put(job)
        if self._is_over:
            self._refuse_waiting()

    def restart(self) -> None:
        """After the database was replaced: forget cursor, target and conflict."""
        self._forget_cursor()
        self._target = self.database.position.offset
        self._halted = False

    def stop(self) -> None:
        """Finish the running batch and end the thread; blocks."""
        self._stopping = True
        self._calls.put(None)
        if self._runner.is_alive():
            self._runner.join()
        self._take_no_more()

    def _take_no_more(self) -> None:
        """The thread has ended: whoever comes now is refused, by himself if need be."""
        self._forget_cursor()
        self._is_over = True
        self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        while True:
            try:
                job = self._calls.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job.error = NodeStoppedError("this node applies nothing more")
                deliver([job])

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._serve(self._calls.get())
                while self._behind():
                    self._apply_some()
                    if not self._calls.empty():
                        break
        except BaseException as error:  # noqa: BLE001 - it must reach the node
            self._take_no_more()
            self._hooks.failed(error)

    def _behind(self) -> bool:
        return (
            not self._halted
            and not self._stopping
            and self.database.position.offset < self._target
        )

    def _serve(self, job: Job | None) -> None:
        if job is None:
            return
        errand: Errand = job.work
        try:
            job.result = errand.run()
        except BaseException as error:
            job.error = error
            if not isinstance(error, NexusError):
                raise
        finally:
            deliver([job])

    def _apply_some(self) -> None:
        wanted = Offset(self.database.position.offset + 1)
        if self._cursor is None or self._cursor.offset != wanted:
            self._forget_cursor()
            self._cursor = self._log.cursor(wanted)
        records = self._cursor.read(Offset(self._target + 1), APPLY_BYTES)
        began = time.monotonic()
        try:
            position = self._applier.apply(records)
        except DiskFullError as shortage:
            self._forget_cursor()
            self._hooks.short(shortage)
            self._wait_for_space()
            return
        except ApplyError as conflict:
            self._halted = True
            self._forget_cursor()
            self._hooks.conflicted(conflict)
            return
        except DatabaseBusyError as busy:
            log.warning("apply_waits", reason=str(busy))
            return
        self._measures.apply.observe(time.monotonic() - began)
        self._measures.applied_batch.observe(len(records))
        self._hooks.applied(position)
        self.database.checkpoint_when_due()

    def _wait_for_space(self) -> None:
        """Until the next try; errands are done meanwhile, and a stop ends it."""
        deadline = time.monotonic() + SPACE_RETRY_S
        with suppress(queue.Empty):
            while not self._stopping:
                left = max(0.0, deadline - time.monotonic())
                self._serve(self._calls.get(timeout=left))

    def _forget_cursor(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None


def errand(run: Callable[[], Any], job_loop: Any = None) -> Job:
    """A job that calls `run` on the worker's thread."""
    return Job(Errand(run=run), job_loop)
